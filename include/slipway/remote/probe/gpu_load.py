"""What the NVIDIA GPUs of this host do at this moment, and who works on them besides one deployment."""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import Any

from slipway.remote.agent.marks import nearest_mark
from slipway.remote.probe.gpus import PROCESS_FIELDS, parse_processes, query, rows
from slipway.remote.probe.ports import describe
from slipway.remote.request import Request

LOAD_FIELDS = (
    "index",
    "uuid",
    "utilization.gpu",
    "memory.used",
    "clocks.sm",
    "power.draw",
    "clocks_throttle_reasons.active",
)
SLOWED = 0x8 | 0x20 | 0x40 | 0x80
"""Bits of ``nvml.h``: hardware slowdown, software and hardware thermal slowdown, power brake. The power cap, which a
busy GPU usually runs into, is none of them."""

MIB, MHZ = 1 << 20, 1_000_000


def gpu_load(request: Request) -> dict[str, Any]:
    """``gpus``, and the processes on them that are ``foreign`` to ``deployment``; ``error`` says why there are none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return _answer(error="no nvidia-smi")
    try:
        cards = parse_loads(query(program, "gpu", LOAD_FIELDS))
        users = parse_processes(query(program, "compute-apps", PROCESS_FIELDS))
    except (OSError, subprocess.SubprocessError) as error:
        return _answer(error=str(error))
    others = [user for user in users if not _belongs(user["pid"], request.text("deployment"))]
    named = [(describe(user["pid"]), user["gpu_uuid"]) for user in others]
    return _answer(cards, [{**process, "gpu_uuid": uuid} for process, uuid in named if process is not None])


def parse_loads(text: str) -> list[dict[str, Any]]:
    """One GPU a line, in the order of ``LOAD_FIELDS``: watts, hertz, bytes, shares; None where it is not known."""
    return [
        {
            "index": int(index),
            "uuid": uuid,
            "use": _scaled(use, 0.01),
            "memory_bytes": _scaled(memory, MIB),
            "sm_clock_hz": _scaled(clock, MHZ),
            "power_w": _scaled(power, 1.0),
            "slowed": reasons.startswith("0x") and bool(int(reasons, 16) & SLOWED),
        }
        for index, uuid, use, memory, clock, power, reasons in rows(text, len(LOAD_FIELDS))
    ]


def _answer(
    cards: list[dict[str, Any]] | None = None, foreign: list[dict[str, Any]] | None = None, error: str = ""
) -> dict[str, Any]:
    return {"time": time.time(), "gpus": cards or [], "foreign": foreign or [], "error": error}


def _belongs(pid: int | None, deployment: str) -> bool:
    """Whether the process, or the nearest one that it descends from and that has a mark, is of the deployment."""
    return f"/agents/{deployment}." in (nearest_mark(pid) or "")


def _scaled(cell: str, unit: float) -> float | None:
    try:
        return float(cell) * unit
    except ValueError:
        return None
