"""How long a run has kept the endpoint from answering: in its snapshot, as ``down_since`` and ``downtime_s``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slipway.store import Store


def begin_downtime(store: Store, run_id: int) -> None:
    """Called right before a server is stopped. One that has begun goes on, whoever stops what."""
    if not store.run_by_id(run_id).snapshot.get("down_since"):
        store.add_snapshot(run_id, {"down_since": time.time()})


def end_downtime(store: Store, run_id: int) -> None:
    """A completion was answered: add what has passed to the run's downtime, in seconds."""
    snapshot = store.run_by_id(run_id).snapshot
    if since := snapshot.get("down_since"):
        seconds = round(snapshot.get("downtime_s", 0.0) + time.time() - since, 1)
        store.add_snapshot(run_id, {"down_since": None, "downtime_s": seconds})
