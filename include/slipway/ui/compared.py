"""Runs side by side, as the page shows them: how each differs from the first, and whether that is more than noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

from slipway.store import Point, Run, Store
from slipway.ui.answers import Answer, Text
from slipway.verdicts.kind import Kind, unlike
from slipway.verdicts.side_by_side import differences


class DifferenceAnswer(Answer):
    """One figure at one load, from the first run to this one."""

    figure: str
    """As in a point; ``requests_per_s`` beside these."""
    users: int
    rate: float
    shape: str
    percent: float
    better: bool
    """Whether it went the better way, be it noise or not."""
    limit_percent: float | None
    """A smaller difference is noise; null where the history is too short to say."""


class ComparedAnswer(Answer):
    """One run beside the first."""

    run_id: int
    unlike: list[Text]
    """Why the two may not be compared, a few words each; empty where they may."""
    differences: list[DifferenceAnswer]
    """At loads that both have measured; of runs that may not be compared, none is judged."""


class ComparisonAnswer(Answer):
    """Every run but the first, in the order that was asked for."""

    runs: list[ComparedAnswer]


def comparison(store: Store, runs: Sequence[Run]) -> ComparisonAnswer:
    """The noise is that of each deployment's history before the newest of its runs here.

    A run without a revision has measured nothing, and is left out.
    """
    if not runs[0].revision_id:
        return ComparisonAnswer(runs=[])
    runs = [run for run in runs if run.revision_id]
    kinds = _kinds(store, runs)
    newest = {run.deployment: run for run in sorted(runs, key=lambda run: run.started_at)}
    earlier = {name: store.earlier_runs(run.id, kinds[run.id].spec.verdict.history) for name, run in newest.items()}
    points = _points(store, [*(run.id for run in runs), *chain(*earlier.values())])
    first, *others = runs
    told = []
    for other in others:
        why = unlike(kinds[other.id], kinds[first.id])
        history = [] if why else chain(*(points[each] for each in earlier[other.deployment]))
        found = differences(points[first.id], points[other.id], history, kinds[other.id].spec.verdict)
        answers = [DifferenceAnswer.model_validate(each) for each in found]
        told.append(ComparedAnswer(run_id=other.id, unlike=why, differences=answers))
    return ComparisonAnswer(runs=told)


def _kinds(store: Store, runs: Sequence[Run]) -> dict[int, Kind]:
    specs = {revision: store.spec(str(revision)) for revision in {run.revision_id for run in runs}}
    return {run.id: Kind(specs[run.revision_id], run.snapshot) for run in runs}


def _points(store: Store, run_ids: Sequence[int]) -> Mapping[int, Sequence[Point]]:
    """By run, also for one without any."""
    found: dict[int, list[Point]] = {run_id: [] for run_id in run_ids}
    for point in store.points(set(run_ids)):
        found[point.run_id].append(point)
    return found
