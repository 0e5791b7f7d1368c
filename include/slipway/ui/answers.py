"""What the API answers, as types; and the store's records as such answers. Pure.

Times are in UTC, durations in seconds, rates a second.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import PurePath
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from slipway.results import Distribution, Goodput, Histogram, Validity
from slipway.store import Cell, Deployment, Restart, Run, SmokeCheck, Stage
from slipway.ui.concealed import concealed

FreeForm = Annotated[dict[str, Any], BeforeValidator(concealed)]
"""JSON whose keys are not ours to fix."""
Text = Annotated[str, BeforeValidator(concealed)]
"""What a person or a program wrote."""


class Answer(BaseModel):
    """Read from a record's fields by name; what is not named here never leaves."""

    model_config = ConfigDict(frozen=True, from_attributes=True, use_attribute_docstrings=True)


class RunAnswer(Answer):
    """One DAG run of one job."""

    id: int
    deployment: str
    rehearsal: bool
    """Done with the true software on CPU: its figures say nothing about a GPU."""
    revision_id: str | None
    """The immutable revision of the deployment file that the run is of."""
    job: str
    """preflight, deploy, benchmark, watch, sweep, teardown; point for one of a sweep; import where results of another
    tool were brought in."""
    dag_id: str
    dag_run_id: str
    state: str
    """running, success or failed."""
    reason: Text
    """Why the run was started, in the words of whoever started it."""
    started_at: datetime
    ended_at: datetime | None
    verdict: str | None
    """The run against its own history; null while it is not judged."""
    verdict_reason: Text


class CurrentAnswer(Answer):
    """What runs now."""

    revision_id: str
    run_id: int
    """The run that brought it up, or last found it ready."""
    endpoint: Text
    """Base URL of the server."""
    since: datetime
    """When this revision took over."""
    state: str
    """starting or serving."""


class DeploymentAnswer(Answer):
    """A deployment as it stands."""

    name: str
    rehearsal: bool
    """Of what runs now; where nothing runs, of the last run."""
    current: CurrentAnswer | None
    """Null where nothing runs."""
    last_run: RunAnswer
    last_judged: RunAnswer | None
    """The last run with a verdict."""


class DeploymentsAnswer(Answer):
    """Every deployment that the user may see and that has had a run, by name."""

    deployments: list[DeploymentAnswer]


class RunsAnswer(Answer):
    """Runs of a deployment, newest first."""

    runs: list[RunAnswer]


class ActionsAnswer(Answer):
    """What the user may start, by Airflow's own rights."""

    benchmark: str
    """ready; forbidden: without the right to; paused: its DAG would keep the run waiting; absent: there is no DAG."""
    deploy: str


class StageAnswer(Answer):
    """One try of one stage."""

    name: str
    map_index: int
    """Which of the mapped tasks; -1 where the stage is not mapped."""
    try_number: int
    state: str
    """running, success or failed."""
    started_at: datetime
    ended_at: datetime | None
    seconds: float | None
    """How long it took; null while it runs, and where it was lost."""
    actions: int
    """Commands that changed something; 0 where all was already so."""
    detail: FreeForm
    error: Text
    """What it failed with, empty otherwise."""


class SmokeAnswer(Answer):
    """One of the first questions to a fresh server."""

    name: str
    passed: bool
    detail: Text
    seconds: float
    transcript: FreeForm
    """What was asked and answered."""


class RestartAnswer(Answer):
    """A server that its agent started again by itself."""

    host: str
    role: str
    at: datetime
    """When it had ended."""
    cause: str
    """signal, wedged, unknown, or an id of the catalogue of diagnoses."""
    reason: Text


class CellAnswer(Answer):
    """One load level of a run and all that was measured at it."""

    id: int
    rehearsal: bool
    """Measured on CPU: the figures say nothing about a GPU."""
    revision_id: str
    try_number: int
    users: int
    """Concurrent users; 0 in an open loop."""
    rate: float
    """Requests a second that were asked for in an open loop; 0 in a closed one."""
    shape: str
    """A load that changes over the window, or a trace, in words: `users` or `rate` is then its highest; else empty."""
    spawn_rate: float
    """Users started a second."""
    processes: int
    """Locust processes that shared the users."""
    started_at: datetime
    """Start of the measured window."""
    window_s: float
    requests: int
    """Successful requests that ended inside the window."""
    errors: dict[str, int]
    """Failed requests inside the window, by kind."""
    prompt_tokens: int
    output_tokens: int
    requests_per_s: float
    output_tokens_per_s: float
    ttft: Distribution | None
    """Time to first token, in seconds; null where no request can give it. So are the next three."""
    itl: Distribution | None
    """Inter-token latency."""
    tpot: Distribution | None
    """Time per output token after the first."""
    e2e: Distribution | None
    """End-to-end latency."""
    scheduled: dict[str, Distribution]
    """`ttft` and `e2e` from the time at which each request was due instead of sent."""
    validity: Validity
    reasons: list[str]
    """Why the cell is suspect or invalid."""
    client: dict[str, float]
    """The load generator's own health."""
    server: dict[str, float]
    """Differences of the server's own counters over the window, means and maxima of its gauges."""
    histograms: dict[str, Histogram]
    """By metric. Value i of `counts` lies from 10^((first + i) / 32) seconds up to 10^((first + i + 1) / 32)."""
    repeats: dict[str, list[float]]
    """Figures of each time that the level was measured; empty where it was once."""
    goodput: Goodput | None
    """Requests that kept all limits; null where the file gives no limits."""
    gpu: dict[str, float]
    """What the GPUs did, and what a million output tokens cost; empty where nothing is known of it."""
    series: dict[str, dict[str, list[float]]]
    """`server` and `gpus` over time, as columns; `at_s` is seconds since the window began."""
    folder: str
    """Where its files lie among those of the run, as `users-8`."""


class WholeRunAnswer(Answer):
    """A run with everything that it left."""

    run: RunAnswer
    stages: list[StageAnswer]
    """Every try, in the order of their beginning."""
    smoke: list[SmokeAnswer]
    """In the order in which they were asked."""
    cells: list[CellAnswer]
    """By load."""
    restarts: list[RestartAnswer]
    """Those that this run saw first, oldest first."""
    conf: FreeForm
    """What its caller changed."""
    snapshot: FreeForm
    """Versions, hosts and model as they were found."""


def deployments_answer(deployments: Iterable[Deployment]) -> DeploymentsAnswer:
    return DeploymentsAnswer(deployments=[DeploymentAnswer.model_validate(each) for each in deployments])


def runs_answer(runs: Iterable[Run]) -> RunsAnswer:
    return RunsAnswer(runs=[RunAnswer.model_validate(run) for run in runs])


def whole_run_answer(
    run: Run,
    stages: Iterable[Stage],
    smoke: Iterable[SmokeCheck],
    cells: Iterable[Cell],
    restarts: Iterable[Restart] = (),
) -> WholeRunAnswer:
    return WholeRunAnswer(
        run=RunAnswer.model_validate(run),
        stages=[StageAnswer.model_validate(stage) for stage in stages],
        smoke=[SmokeAnswer.model_validate(check) for check in smoke],
        cells=[_cell(cell, rehearsal=run.rehearsal) for cell in cells],
        restarts=[RestartAnswer.model_validate(restart) for restart in restarts],
        conf=run.conf,
        snapshot=run.snapshot,
    )


def _cell(cell: Cell, *, rehearsal: bool) -> CellAnswer:
    own = {"id": cell.id, "revision_id": cell.revision_id, "try_number": cell.try_number, "rehearsal": rehearsal}
    return CellAnswer.model_validate({**vars(cell.measurement), **own, "folder": PurePath(cell.artifacts).name})
