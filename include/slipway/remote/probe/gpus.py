"""NVIDIA GPUs of this host and who uses them, as ``nvidia-smi`` reports them."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from slipway.remote.agent.marks import nearest_mark
from slipway.remote.probe.kernel_log import xids
from slipway.remote.probe.ports import describe
from slipway.remote.processes import look

GPU_FIELDS = (
    "index",
    "name",
    "uuid",
    "memory.total",
    "memory.used",
    "driver_version",
    "ecc.errors.uncorrected.volatile.total",
    "remapped_rows.pending",
    "remapped_rows.failure",
    "pci.bus_id",
)
PROCESS_FIELDS = ("gpu_uuid", "pid", "used_memory")
TIMEOUT_S = 20
MIB = 1 << 20


def gpus() -> dict[str, Any]:
    """``gpus``, ``gpu_processes`` and ``xids``; ``gpu_error`` says why a driver that is there does not answer."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return {"gpus": [], "gpu_processes": [], "xids": [], "gpu_error": None}
    try:
        cards = query(program, "gpu", GPU_FIELDS)
        users = query(program, "compute-apps", PROCESS_FIELDS)
    except (OSError, subprocess.SubprocessError) as error:
        said = (error.stdout + error.stderr).strip() if isinstance(error, subprocess.CalledProcessError) else ""
        return {"gpus": [], "gpu_processes": [], "xids": xids(), "gpu_error": said or str(error)}
    processes = [_with_owner(process) for process in parse_processes(users)]
    return {"gpus": parse_gpus(cards), "gpu_processes": processes, "xids": xids(), "gpu_error": None}


def parse_gpus(text: str) -> list[dict[str, Any]]:
    """One GPU a line, in the order of ``GPU_FIELDS``; what the driver does not know is None. Sizes in bytes."""
    return [
        {
            "index": _number(index),
            "name": name,
            "uuid": uuid,
            "memory_total_bytes": _bytes(total),
            "memory_used_bytes": _bytes(used),
            "driver_version": driver,
            "ecc_errors": _number(errors),
            "remap_pending": pending == "Yes",
            "remap_failed": broken == "Yes",
            "pci": _pci(bus),
        }
        for index, name, uuid, total, used, driver, errors, pending, broken, bus in rows(text, len(GPU_FIELDS))
    ]


def parse_processes(text: str) -> list[dict[str, Any]]:
    """One process on a GPU a line, in the order of ``PROCESS_FIELDS``."""
    found = rows(text, len(PROCESS_FIELDS))
    return [{"gpu_uuid": uuid, "pid": _number(pid), "memory_bytes": _bytes(used)} for uuid, pid, used in found]


def query(program: str, what: str, fields: tuple[str, ...]) -> str:
    argv = [program, f"--query-{what}={','.join(fields)}", "--format=csv,noheader,nounits"]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=TIMEOUT_S).stdout


def rows(text: str, width: int) -> list[list[str]]:
    rows = csv.reader(text.splitlines(), skipinitialspace=True)
    return [[cell.strip() for cell in row] for row in rows if len(row) == width]


def _number(cell: str) -> int | None:
    return int(cell) if cell.isdigit() else None


def _pci(bus: str) -> str:
    """``00000000:00:06.0`` as Xid messages have it: ``0000:00:06``."""
    domain, _, rest = bus.lower().partition(":")
    return f"{domain[-4:]}:{rest.partition('.')[0]}"


def _bytes(cell: str) -> int | None:
    number = _number(cell)
    return None if number is None else number * MIB


def _with_owner(process: dict[str, Any]) -> dict[str, Any]:
    """With user, command, session, age in seconds, and the mark of the role that it belongs to, if any.

    Each is None where the process is not visible from here.
    """
    owner = describe(process["pid"]) if process["pid"] is not None else None
    named = owner or {"user": None, "command": None, "session": None}
    if owner is None:
        return {**named, **process, "age_s": None, "mark": None}
    return {**named, **process, "age_s": _age_s(process["pid"]), "mark": nearest_mark(process["pid"])}


def _age_s(pid: int) -> float | None:
    process = look(pid)
    if process is None:
        return None
    up_s = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    return round(max(0.0, up_s - process.began / os.sysconf("SC_CLK_TCK")), 2)
