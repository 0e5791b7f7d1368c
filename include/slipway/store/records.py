"""What the store takes and gives: plain frozen values, free of the database."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from slipway.results import Measurement


class State(enum.StrEnum):
    """How far a run or a stage is."""

    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"


@dataclass(frozen=True)
class RunStart:
    """A run at its beginning. ``dag_id`` and ``dag_run_id`` together name it; ``conf`` is what its caller changed."""

    deployment: str
    job: str
    """preflight, deploy, benchmark, watch, sweep, point (of a sweep), teardown."""
    dag_id: str
    dag_run_id: str
    revision_id: str | None = None
    rehearsal: bool = False
    reason: str = ""
    conf: Mapping[str, Any] = field(default_factory=dict)
    point: str | None = None
    """Of the job ``point``: the digest of what is measured."""


@dataclass(frozen=True)
class Run:
    """A run as it stands. ``snapshot`` holds versions and hosts as they were found."""

    id: int
    deployment: str
    revision_id: str | None
    job: str
    dag_id: str
    dag_run_id: str
    state: str
    reason: str
    conf: Mapping[str, Any]
    started_at: datetime
    ended_at: datetime | None
    snapshot: Mapping[str, Any]
    verdict: str | None
    verdict_reason: str
    rehearsal: bool


@dataclass(frozen=True)
class Stage:
    """One try of one stage; ``actions`` counts the commands that changed something, 0 when all was already so."""

    id: int
    run_id: int
    name: str
    map_index: int
    try_number: int
    state: str
    started_at: datetime
    ended_at: datetime | None
    seconds: float | None
    actions: int
    detail: Mapping[str, Any]
    error: str


@dataclass(frozen=True)
class Start:
    """One start of a server, which a run waited for. Each of ``phases`` has ``name``, ``began_s``, ``seconds``."""

    run_id: int
    deployment: str
    revision_id: str | None
    rehearsal: bool
    began_at: float
    """When its process began, in seconds since 1970."""
    time_to_ready_s: float
    """From then to the first completion."""
    phases: tuple[Mapping[str, Any], ...]
    cache: Mapping[str, Any] | None = None
    """``hits``, ``misses`` and ``compile_s`` of its compile cache; None for a start that was kept without."""


@dataclass(frozen=True)
class Restart:
    """A server that died or hung unasked, and that its agent started again at ``at``."""

    host: str
    role: str
    at: datetime
    cause: str
    """``signal``, ``wedged``, ``unknown``, or an id of the catalogue of diagnoses."""
    reason: str
    """How it ended, in words."""


@dataclass(frozen=True)
class SmokeCheck:
    """One question to a fresh server; ``transcript`` holds what was asked and answered."""

    name: str
    passed: bool
    detail: str
    seconds: float
    transcript: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """One measured load level. ``artifacts`` is the folder of its raw rows."""

    id: int
    run_id: int
    deployment: str
    revision_id: str
    measurement: Measurement
    artifacts: str
    try_number: int


@dataclass(frozen=True)
class SweepPoint:
    """One point of a sweep. ``loads`` are users, rate and shape: one of them is set."""

    sweep_id: int
    """The run of the sweep."""
    number: int
    words: str
    """Its settings in words."""
    settings: Mapping[str, Any]
    loads: Sequence[Sequence[float | str]]
    digest: str | None
    """Names what is measured, whenever it was; None where the deployment's types refuse the point."""
    state: str = ""
    """A :class:`State`; empty where its turn has not come."""
    cause: str = ""
    """Why it failed."""
    run_id: int | None = None
    """The run that deployed it for this sweep; None where every load was measured before."""


@dataclass(frozen=True)
class Lease:
    """A host, by its address, that one run holds."""

    host: str
    deployment: str
    run_id: int
    purpose: str
    until: datetime


@dataclass(frozen=True)
class Current:
    """What a deployment runs now; ``since`` is when this revision took over."""

    deployment: str
    revision_id: str
    run_id: int
    endpoint: str
    since: datetime
    state: str


@dataclass(frozen=True)
class Promoted:
    """The last good revision of a deployment, and the run that promoted it."""

    deployment: str
    revision_id: str
    run_id: int
    since: datetime


@dataclass(frozen=True)
class Deployment:
    """A deployment as it stands. ``rehearsal`` is that of what runs now; where nothing runs, of the last run."""

    name: str
    rehearsal: bool
    current: Current | None
    """None where nothing runs."""
    last_run: Run
    last_judged: Run | None
    """The last run with a verdict."""


@dataclass(frozen=True)
class Revision:
    """What was asked for. ``spec`` is the whole deployment file as JSON, ``lock_digest`` names its lock file's text."""

    id: str
    deployment: str
    created_at: datetime
    rehearsal: bool
    workload: str
    """Equal where benchmarks may be compared."""
    lock_digest: str
    spec: Mapping[str, Any]


class Point(NamedTuple):
    """The figures of one cell that are drawn: rates a second, latencies in seconds, None where none was measured.

    ``users``, ``rate`` and ``shape`` are its load, as in a measurement. A tuple, since they come by the thousand.
    """

    run_id: int
    revision_id: str
    users: int
    rate: float
    shape: str
    started_at: datetime
    rehearsal: bool
    validity: str
    requests_per_s: float
    output_tokens_per_s: float
    ttft_p50: float | None
    ttft_p95: float | None
    ttft_p99: float | None
    itl_p50: float | None
    itl_p95: float | None
    itl_p99: float | None
    tpot_p50: float | None
    tpot_p95: float | None
    tpot_p99: float | None
    e2e_p50: float | None
    e2e_p95: float | None
    e2e_p99: float | None


@dataclass(frozen=True)
class Step:
    """One run in the history of its deployment."""

    id: int
    revision_id: str | None
    job: str
    state: str
    started_at: datetime
    verdict: str | None
    verdict_reason: str
    rehearsal: bool
    versions: Mapping[str, str]
    """Of what serves, as the run found them: ``vllm``, ``ray``, ``torch``, ``cuda``, ``nccl``, the GPUs' ``driver``."""
    ready: Mapping[str, Any] | None
    """What the stage ``ready`` found, ``time_to_ready_s`` and ``phases`` where it waited for a start; None where it did
    not end well."""


@dataclass(frozen=True)
class Peak:
    """The highest throughput of a run, over its cells that are not invalid."""

    run_id: int
    started_at: datetime
    rehearsal: bool
    output_tokens_per_s: float
