"""What the server and the GPUs did through a cell, as a few points over time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from slipway.results.prometheus import GAUGES, SAMPLED_COUNTERS, Reading

SERVER_FILE = "server.jsonl"
"""One reading of the server's ``/metrics`` a line, in the folder of its cell."""

MOST_POINTS = 60
"""A series keeps at most this many points."""

LEAST_STEP_S = 1.0

Series = Mapping[str, Sequence[float]]
"""Columns of equal length by name; ``at_s`` is seconds since the window began."""


def moments_ns(start_ns: int, end_ns: int) -> list[int]:
    """When to look: at both ends and evenly between, at most each second and :data:`MOST_POINTS` times."""
    steps = max(1, min(MOST_POINTS - 1, int((end_ns - start_ns) / 1e9 / LEAST_STEP_S)))
    return [start_ns + (end_ns - start_ns) * step // steps for step in range(steps + 1)]


def server_line(at_ns: int, reading: Reading) -> str:
    """One reading as a line of :data:`SERVER_FILE`."""
    return json.dumps({"at_ns": at_ns, **reading})


def load_lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a file of JSON objects; none where it is not there."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines(keepends=True) if line.endswith("\n")]


def server_series(readings: Sequence[Mapping[str, float]], start_ns: int) -> Series:
    """Gauges as they were; counters since the first reading. What the server did not report then has no column."""
    if not readings:
        return {}
    first = readings[0]
    gauges, counters = ([name for name in names if name in first] for names in ((*GAUGES, "kv_use"), SAMPLED_COUNTERS))
    whole = [each for each in readings if first.keys() <= each.keys()]
    return columns(
        {
            "at_s": (each["at_ns"] - start_ns) / 1e9,
            **{name: each[name] for name in gauges},
            **{name: each[name] - first[name] for name in counters},
        }
        for each in whole
        if gauges or counters
    )


def thinned(rows: Sequence[Mapping[str, float]]) -> list[Mapping[str, float]]:
    """At most :data:`MOST_POINTS` of the rows, evenly spaced, the first and the last among them."""
    if len(rows) <= MOST_POINTS:
        return list(rows)
    return [rows[round(place * (len(rows) - 1) / (MOST_POINTS - 1))] for place in range(MOST_POINTS)]


def columns(rows: Iterable[Mapping[str, float]]) -> Series:
    """Rows that all have the same keys, as columns."""
    listed = list(rows)
    return {name: [row[name] for row in listed] for name in listed[0]} if listed else {}


def server_figures(series: Series) -> dict[str, float]:
    """Mean requests running and waiting, the fullest KV cache; without those that the series lacks."""
    means = {f"{name}_mean": sum(series[name]) / len(series[name]) for name in GAUGES if name in series}
    return {**means, **({"kv_use_max": max(series["kv_use"])} if "kv_use" in series else {})}
