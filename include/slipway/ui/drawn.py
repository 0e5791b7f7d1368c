"""The answers that the page draws: cards, curves, trends, revisions. Pure; units as in ``answers``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import zip_longest
from typing import Any

from slipway.results import Validity
from slipway.spec.changes import differing
from slipway.spec.types import ANY_ADDRESS
from slipway.store import Deployment, Peak, Point, Revision, Step
from slipway.ui.answers import Answer, DeploymentAnswer, FreeForm, Text
from slipway.verdicts.outliers import outliers


class HostAnswer(Answer):
    """A machine of a deployment."""

    name: str
    address: str
    gpus: int


class ServingAnswer(Answer):
    """What the deployment file says of what runs now."""

    model_name: str
    hosts: list[HostAnswer]
    docs: Text
    """The server's own documentation of its API."""
    dashboard: str | None
    """Where Ray's dashboard listens on the head; null where Ray is not used."""


class PeakAnswer(Answer):
    """The highest throughput of a run, over its cells that are not invalid."""

    run_id: int
    started_at: datetime
    rehearsal: bool
    output_tokens_per_s: float


class CardAnswer(Answer):
    """A deployment at a glance."""

    deployment: DeploymentAnswer
    serving: ServingAnswer | None
    """Null where nothing runs."""
    peaks: list[PeakAnswer]
    """Of those of the last 30 runs that measured something, oldest first."""


class OverviewAnswer(Answer):
    """Every deployment that the user may see and that has had a run, by name."""

    cards: list[CardAnswer]


class StepAnswer(Answer):
    """One run in the history of its deployment."""

    id: int
    revision_id: str | None
    job: str
    state: str
    started_at: datetime
    verdict: str | None
    verdict_reason: Text
    rehearsal: bool
    versions: dict[str, str]
    """Of what serves: ``vllm``, ``ray``, ``torch``, ``cuda``, ``nccl``, the GPUs' ``driver``; those that are known."""
    ready: FreeForm | None
    """What the stage ``ready`` found, ``time_to_ready_s`` and ``phases`` where it waited for a start; null where it did
    not end well."""


class PointsColumns(Answer):
    """The figures of cells that are drawn, as columns: the values at one place in each are one cell's."""

    run_id: list[int]
    revision_id: list[str]
    users: list[int]
    """Concurrent users; 0 in an open loop."""
    rate: list[float]
    """Requests a second that were asked for in an open loop; 0 in a closed one."""
    shape: list[str]
    """A load that changes, or a trace, in words; else empty."""
    started_at: list[datetime]
    rehearsal: list[bool]
    validity: list[Validity]
    requests_per_s: list[float]
    output_tokens_per_s: list[float]
    ttft_p50: list[float | None]
    ttft_p95: list[float | None]
    ttft_p99: list[float | None]
    itl_p50: list[float | None]
    itl_p95: list[float | None]
    itl_p99: list[float | None]
    tpot_p50: list[float | None]
    tpot_p95: list[float | None]
    tpot_p99: list[float | None]
    e2e_p50: list[float | None]
    e2e_p95: list[float | None]
    e2e_p99: list[float | None]


class OutlierAnswer(Answer):
    """A figure that is far from those of the other runs of its revision at its load."""

    run_id: int
    users: int
    rate: float
    shape: str
    figure: str
    """As in a point."""
    value: float
    usual: float
    """The median of all of them."""


class TrendsAnswer(Answer):
    """The last runs of a deployment, oldest first, and their cells by run and load."""

    steps: list[StepAnswer]
    points: PointsColumns
    outliers: list[OutlierAnswer]


class PointsAnswer(Answer):
    """The newest cells of a revision, newest first."""

    points: PointsColumns


class DifferenceAnswer(Answer):
    """One key of the deployment file that is not as it was; null on a side that lacks it."""

    key: str
    before: Any
    after: Any


class RevisionAnswer(Answer):
    """What was asked for."""

    id: str
    created_at: datetime
    rehearsal: bool
    workload: str
    """Equal where benchmarks may be compared."""
    lock_digest: str
    changes: list[DifferenceAnswer] | None
    """Against the revision before it; null where that is not known."""
    spec: FreeForm


class RevisionsAnswer(Answer):
    """Revisions of a deployment, newest first."""

    revisions: list[RevisionAnswer]
    current: str | None
    """What runs now; null where nothing does."""
    baseline: str | None
    """The good one that was there before it, which it is held against."""


def card(deployment: Deployment, revision: Revision | None, peaks: Iterable[Peak]) -> CardAnswer:
    current = deployment.current
    return CardAnswer(
        deployment=DeploymentAnswer.model_validate(deployment),
        serving=_serving(revision.spec, current.endpoint) if revision and current else None,
        peaks=[PeakAnswer.model_validate(peak) for peak in peaks],
    )


def trends_answer(steps: Iterable[Step], points: Sequence[Point]) -> TrendsAnswer:
    return TrendsAnswer(
        steps=[StepAnswer.model_validate(step) for step in steps],
        points=_points(points),
        outliers=[OutlierAnswer.model_validate(outlier) for outlier in outliers(points)],
    )


def points_answer(points: Sequence[Point]) -> PointsAnswer:
    return PointsAnswer(points=_points(points))


def revisions_answer(
    revisions: Sequence[Revision], limit: int, current: str | None = None, baseline: str | None = None
) -> RevisionsAnswer:
    """The first ``limit``; one more tells what the last of them changed."""
    told = [RevisionAnswer.model_validate({**vars(revision), "changes": None}) for revision in revisions]
    pairs = list(zip_longest(told, told[1:]))[:limit]
    return RevisionsAnswer(revisions=[_since(*pair) for pair in pairs], current=current, baseline=baseline)


def _points(points: Sequence[Point]) -> PointsColumns:
    columns = {name: [point[place] for point in points] for place, name in enumerate(Point._fields)}
    return PointsColumns.model_validate(columns)


def _since(told: RevisionAnswer, before: RevisionAnswer | None) -> RevisionAnswer:
    """``told`` with what it changed. Both hide their secrets already."""
    if before is None:
        return told
    found = differing(_asked(before), _asked(told))
    changes = [DifferenceAnswer(key=each.key, before=each.old, after=each.new) for each in found]
    return told.model_copy(update={"changes": changes})


def _asked(told: RevisionAnswer) -> Mapping[str, Any]:
    return {**told.spec, "lock": told.lock_digest}


def _serving(spec: Mapping[str, Any], endpoint: str) -> ServingAnswer:
    hosts, serve, ray = spec["hosts"], spec["serve"], spec["ray"]
    listens = hosts[0]["address"] if ray["dashboard_host"] in ANY_ADDRESS else ray["dashboard_host"]
    dashboard = f"http://{listens}:{ray['ports']['dashboard']}" if serve["backend"] == "ray" else None
    named = [HostAnswer.model_validate({name: host[name] for name in HostAnswer.model_fields}) for host in hosts]
    return ServingAnswer(model_name=serve["model_name"], hosts=named, docs=f"{endpoint}/docs", dashboard=dashboard)
