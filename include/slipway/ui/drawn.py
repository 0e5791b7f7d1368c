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
from slipway.ui.concealed import concealed
from slipway.verdicts.outliers import outliers


class HostAnswer(Answer):
    """A machine of a deployment."""

    name: str
    address: str
    gpus: int


class ServingAnswer(Answer):
    """What the deployment file says of what runs now."""

    model_name: str
    hosts: Sequence[HostAnswer]
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
    peaks: Sequence[PeakAnswer]
    """Of those of the last 30 runs that measured something, oldest first."""


class OverviewAnswer(Answer):
    """Every deployment that the user may see and that has had a run, by name."""

    cards: Sequence[CardAnswer]


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
    versions: Mapping[str, str]
    """Of what serves: ``vllm``, ``ray``, ``torch``, those that are known."""
    ready: FreeForm | None
    """What the stage ``ready`` found, ``time_to_ready_s`` and ``phases`` where it waited for a start; null where it did
    not end well."""


class PointAnswer(Answer):
    """The figures of one cell that are drawn."""

    run_id: int
    revision_id: str
    users: int
    """Concurrent users; 0 in an open loop."""
    rate: float
    """Requests a second that were asked for in an open loop; 0 in a closed one."""
    shape: str
    """A load that changes, or a trace, in words; else empty."""
    started_at: datetime
    rehearsal: bool
    validity: Validity
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

    steps: Sequence[StepAnswer]
    points: Sequence[PointAnswer]
    outliers: Sequence[OutlierAnswer]


class PointsAnswer(Answer):
    """The newest cells of a revision, newest first."""

    points: Sequence[PointAnswer]


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
    changes: Sequence[DifferenceAnswer] | None
    """Against the revision before it; null where that is not known."""
    spec: FreeForm


class RevisionsAnswer(Answer):
    """Revisions of a deployment, newest first."""

    revisions: Sequence[RevisionAnswer]
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


def points_answer(points: Iterable[Point]) -> PointsAnswer:
    return PointsAnswer(points=_points(points))


def revisions_answer(
    revisions: Sequence[Revision], limit: int, current: str | None = None, baseline: str | None = None
) -> RevisionsAnswer:
    """The first ``limit``; one more tells what the last of them changed."""
    pairs = list(zip_longest(revisions, revisions[1:]))[:limit]
    told = [_revision(revision, before) for revision, before in pairs]
    return RevisionsAnswer(revisions=told, current=current, baseline=baseline)


def _points(points: Iterable[Point]) -> list[PointAnswer]:
    return [PointAnswer.model_validate(point) for point in points]


def _revision(revision: Revision, before: Revision | None) -> RevisionAnswer:
    found = differing(_shown(before), _shown(revision)) if before else None
    changes = None if found is None else [DifferenceAnswer(key=e.key, before=e.old, after=e.new) for e in found]
    return RevisionAnswer.model_validate({**vars(revision), "changes": changes})


def _shown(revision: Revision) -> Mapping[str, Any]:
    shown: Mapping[str, Any] = concealed(revision.spec)
    return {**shown, "lock": revision.lock_digest}


def _serving(spec: Mapping[str, Any], endpoint: str) -> ServingAnswer:
    hosts, serve, ray = spec["hosts"], spec["serve"], spec["ray"]
    listens = hosts[0]["address"] if ray["dashboard_host"] in ANY_ADDRESS else ray["dashboard_host"]
    dashboard = f"http://{listens}:{ray['ports']['dashboard']}" if serve["backend"] == "ray" else None
    named = [HostAnswer.model_validate({name: host[name] for name in HostAnswer.model_fields}) for host in hosts]
    return ServingAnswer(model_name=serve["model_name"], hosts=named, docs=f"{endpoint}/docs", dashboard=dashboard)
