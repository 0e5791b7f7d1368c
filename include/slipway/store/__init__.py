"""The results database: what was asked for, what was done, what was measured. The only part that speaks SQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from slipway.store.cells import Cells
from slipway.store.deployments import Deployments
from slipway.store.engine import make_engine, open_engine
from slipway.store.history import History
from slipway.store.leases import Leases
from slipway.store.records import (
    Cell,
    Current,
    Deployment,
    Lease,
    Peak,
    Point,
    Promoted,
    Restart,
    Revision,
    Run,
    RunStart,
    SmokeCheck,
    Stage,
    Start,
    State,
    Step,
    SweepPoint,
)
from slipway.store.restarts import Restarts
from slipway.store.revisions import Revisions
from slipway.store.runs import Runs
from slipway.store.sweeps import Sweeps
from slipway.store.trends import Trends

__all__ = [
    "Cell",
    "Current",
    "Deployment",
    "Lease",
    "Peak",
    "Point",
    "Promoted",
    "Restart",
    "Revision",
    "Run",
    "RunStart",
    "SmokeCheck",
    "Stage",
    "Start",
    "State",
    "Step",
    "Store",
    "SweepPoint",
    "kept_store",
    "open_store",
]


class Store(Revisions, Runs, Cells, History, Leases, Deployments, Trends, Sweeps, Restarts):
    """The whole store. Each call is one transaction; safe to share between threads.

    Every method raises :class:`~slipway.errors.StoreError` where the database cannot be used.
    """


@contextmanager
def open_store(url: str) -> Iterator[Store]:
    """The store at a SQLAlchemy URL. Nothing is connected before the first call."""
    with open_engine(url) as engine:
        yield Store(engine)


@lru_cache(maxsize=1)
def kept_store(url: str) -> Store:
    """The same for the life of the process: its connections, and the queries that it has compiled, serve again."""
    return Store(make_engine(url, pooled=True))
