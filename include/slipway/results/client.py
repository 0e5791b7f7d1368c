"""The load generator's own health: could it offer the load, and was it there when the tokens came?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slipway.errors import LoadTestFailed
from slipway.results import definitions
from slipway.results.percentiles import percentile
from slipway.results.rows import Row

OFF_SCHEDULE_NS = 100_000_000
"""A request of an open loop that leaves later than this after its time, its connecting included, was not on time."""

LATE_PART_OF_TTFT = 0.01
"""A first token whose stamp may be wrong by more than this part of its TTFT is a late sample."""


@dataclass(frozen=True)
class Client:
    """One load process over the window. A read is *unstamped* where the kernel gave no receive time for it.

    ``clock_step_s`` is how far the wall clock was moved against the monotonic one; ``missed`` counts requests of an
    open loop that were due inside the window and had not been begun at its end. ``host`` is the other host that it ran
    on, whose clock is ``clock_ahead_s`` ahead of the conducting machine's, known to ``clock_bound_s``.
    """

    cpu_s: float
    window_s: float
    reads: int
    unstamped_reads: int
    clock_step_s: float
    missed: int = 0
    host: str = ""
    clock_ahead_s: float = 0.0
    clock_bound_s: float = 0.0


def load_clients(folder: Path) -> list[Client]:
    """The health of every load process of a cell. Raises LoadTestFailed."""
    return [_load(path) for path in sorted(folder.glob("clients-*.json"))]


def figures(
    rows: Sequence[Row], clients: Sequence[Client], users: float, start_ns: int, end_ns: int
) -> dict[str, float]:
    """Health over the window, by name; ``rows`` are all of the cell, in any order.

    Shares are between 0 and 1. ``cpu_share`` is the busiest process's part of one core, ``under_way_mean`` the mean
    number of requests under way, ``inexact_share`` the answers whose tokens were counted unlike usage.
    ``offered_share`` is ``under_way_mean`` over the users, of whom there are ``users`` in the mean; without users, in
    an open loop, the requests that were sent inside the window over those that were due. ``off_schedule_share`` are
    those of an open loop that did not leave on time.
    """
    sent = [row for row in rows if start_ns <= row.sent_ns < end_ns]
    good = [row for row in rows if not row.error and start_ns <= row.ended_ns < end_ns]
    tokens = sum(row.output_tokens for row in good)
    reads = sum(client.reads for client in clients)
    under_way = sum(definitions.busy_ns(row, start_ns, end_ns) for row in rows) / (end_ns - start_ns)
    due = [row for row in rows if start_ns <= row.scheduled_ns < end_ns]
    asked = len(due) + sum(client.missed for client in clients)
    return {
        "cpu_share": max((client.cpu_s / client.window_s for client in clients), default=0.0),
        "cpu_s": sum(client.cpu_s for client in clients),
        "send_lag_p99_s": _p99([(row.sent_ns - row.scheduled_ns) / 1e9 for row in sent]),
        "late_share": _share(sum(map(_late, good)), len(good)),
        "merged_share": _share(sum(row.merged_tokens for row in good), tokens),
        "inexact_share": _share(sum(not definitions.counted_exactly(row) for row in good), len(good)),
        "under_way_mean": under_way,
        "offered_share": under_way / users if users else _share(min(len(sent), asked), asked),
        "off_schedule_share": 0.0 if users else _share(sum(map(_off_schedule, due)) + asked - len(due), asked),
        "unstamped_share": _share(sum(client.unstamped_reads for client in clients), reads),
        "clock_step_s": max((abs(client.clock_step_s) for client in clients), default=0.0),
    }


OF_A_HOST = (
    "requests",
    "cpu_share",
    "send_lag_p99_s",
    "late_share",
    "merged_share",
    "unstamped_share",
    "clock_step_s",
    "clock_ahead_s",
    "clock_bound_s",
    "clock_bound_share",
)
"""What each host that makes load answers for; the rest is of the load as a whole."""


def figures_by_host(
    rows: Sequence[Row], clients: Sequence[Client], start_ns: int, end_ns: int
) -> dict[str, dict[str, float]]:
    """:data:`OF_A_HOST` for each host that made load, by its name, which is empty for the conducting machine."""
    found = {}
    for host in sorted({client.host for client in clients}):
        own = [client for client in clients if client.host == host]
        health = figures([row for row in rows if row.host == host], own, 0, start_ns, end_ns)
        health["requests"] = sum(
            row.host == host and not row.error and start_ns <= row.ended_ns < end_ns for row in rows
        )
        health["clock_ahead_s"] = max((client.clock_ahead_s for client in own), key=abs)
        health["clock_bound_s"] = max(client.clock_bound_s for client in own)
        health["clock_bound_share"] = health["clock_bound_s"] / ((end_ns - start_ns) / 1e9)
        found[host] = {name: health[name] for name in OF_A_HOST}
    return found


def _off_schedule(row: Row) -> bool:
    """Also one that could not be sent at all for as long, since there was no connection."""
    return (row.sent_ns or row.ended_ns) - row.scheduled_ns + row.connect_us * 1000 > OFF_SCHEDULE_NS


def _late(row: Row) -> bool:
    return row.late_us * 1000 > LATE_PART_OF_TTFT * (row.first_token_ns - row.sent_ns)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _p99(values: Sequence[float]) -> float:
    return percentile(sorted(values), 99) if values else 0.0


def _load(path: Path) -> Client:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        counts = int(read["reads"]), int(read["unstamped_reads"])
        seconds = float(read["cpu_s"]), float(read["window_s"])
        host = str(read.get("host", ""))
        clock = float(read.get("clock_ahead_s", 0.0)), float(read.get("clock_bound_s", 0.0))
        return Client(*seconds, *counts, float(read["clock_step_s"]), int(read.get("missed", 0)), host, *clock)
    except (OSError, ValueError, KeyError, TypeError) as error:
        hint = "look at the load generator's log; run again"
        raise LoadTestFailed(f"cannot read {path}: {error!r}", hint=hint) from error
