"""A run's figures against those of earlier runs: better, same, worse; or why that cannot be said. Pure."""

from __future__ import annotations

import enum
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from slipway.results import Measurement, Validity
from slipway.spec.judging import VerdictSpec
from slipway.verdicts.metrics import LEVEL_METRICS, TIME_TO_READY, Metric
from slipway.verdicts.noise import limit_percent

LEAST_HISTORY = 3
"""Fewer earlier runs than this are no history."""


class Answer(enum.StrEnum):
    BETTER = "better"
    SAME = "same"
    WORSE = "worse"
    NOT_ENOUGH_HISTORY = "not enough history"
    NOT_COMPARABLE = "not comparable"
    INVALID = "invalid"


@dataclass(frozen=True)
class Shift:
    """How one figure differs from the median of its history. ``load`` is empty for what is of no load level."""

    metric: Metric
    load: str
    now: float
    usual: float
    limit_percent: float
    """A smaller change than this is noise."""

    @property
    def percent(self) -> float:
        return 100 * (self.now - self.usual) / self.usual if self.usual else 0.0

    @property
    def gain_percent(self) -> float:
        """Positive where it got better."""
        return self.percent if self.metric.more_is_better else -self.percent

    @property
    def beyond_noise(self) -> bool:
        return abs(self.percent) >= self.limit_percent

    def __str__(self) -> str:
        where = f" at {self.load}" if self.load else ""
        now, usual = (f"{value * self.metric.scale:.4g}" for value in (self.now, self.usual))
        return f"{self.metric.name}{where} {self.percent:+.1f} % ({now} {self.metric.unit}, else {usual})"


@dataclass(frozen=True)
class Past:
    """What a run is held against: earlier valid runs of the same deployment, workload, hosts and accelerator."""

    cells: Mapping[str, Sequence[Measurement]]
    """By load."""
    starts_s: Sequence[float] = ()
    """How long the server took to be ready, each time that it was started."""
    unlike: Sequence[str] = ()
    """In what the earlier runs differ that are left out for it; empty where there are none."""


@dataclass(frozen=True)
class Verdict:
    """The answer, the sentence that says why, and every comparison that was made."""

    answer: Answer
    reason: str
    shifts: Sequence[Shift] = field(default_factory=tuple)

    def explained(self, changed: Sequence[str]) -> Verdict:
        """With what else is not as it was: that may be the cause."""
        if self.answer not in (Answer.BETTER, Answer.WORSE):
            return self
        cause = f"may explain it: {', '.join(changed)}" if changed else "nothing else that is known has changed"
        return replace(self, reason=f"{self.reason}; {cause}")


def judge(cells: Sequence[Measurement], past: Past, limits: VerdictSpec, start_s: float | None = None) -> Verdict:
    """Each figure against the median of its history; ``start_s`` is the time to ready of a run that started the server.

    A change counts when it exceeds the file's percentage and the noise of the history. One worse figure makes the run
    worse, whatever cannot be compared; otherwise one better figure makes it better, if every level has a history.
    """
    invalid = [cell for cell in cells if cell.validity is Validity.INVALID]
    if invalid:
        told = "; ".join(f"{cell.load}: {', '.join(cell.reasons)}" for cell in invalid)
        return Verdict(Answer.INVALID, f"cells that may not be believed: {told}")
    shifts = tuple(_shifts(cells, past, limits, start_s))
    found = [shift for shift in shifts if shift.metric.decides and shift.beyond_noise]
    worse = [shift for shift in found if shift.gain_percent < 0]
    short = [cell.load for cell in cells if len(past.cells.get(cell.load, ())) < LEAST_HISTORY]
    if worse:
        return _with_watched(Answer.WORSE, _told(worse), shifts)
    if short or not cells:
        return replace(_without_history(short, past), shifts=shifts)
    if found:
        return _with_watched(Answer.BETTER, _told(found), shifts)
    largest = max((shift for shift in shifts if shift.metric.decides), key=lambda shift: abs(shift.percent))
    return _with_watched(Answer.SAME, f"nothing beyond noise; the largest change is {largest}", shifts)


def _without_history(short: Sequence[str], past: Past) -> Verdict:
    least = min((len(past.cells.get(load, ())) for load in short), default=0)
    if not least and past.unlike:
        return Verdict(Answer.NOT_COMPARABLE, f"every earlier valid run is of another kind: {'; '.join(past.unlike)}")
    needed = f"{least} of the {LEAST_HISTORY} earlier valid runs that a comparison needs"
    return Verdict(Answer.NOT_ENOUGH_HISTORY, needed)


def _with_watched(answer: Answer, reason: str, shifts: Sequence[Shift]) -> Verdict:
    """What is only watched is mentioned where it moved."""
    watched = [shift for shift in shifts if not shift.metric.decides and shift.beyond_noise]
    return Verdict(answer, f"{reason}; watched: {_told(watched)}" if watched else reason, shifts)


def _told(shifts: Sequence[Shift]) -> str:
    return "; ".join(map(str, shifts))


def _shifts(cells: Sequence[Measurement], past: Past, limits: VerdictSpec, start_s: float | None) -> Iterator[Shift]:
    """Every comparison that has a history."""
    found = [each for cell in cells for each in _comparisons(cell, past.cells.get(cell.load, ()))]
    if start_s is not None and len(past.starts_s) >= LEAST_HISTORY:
        found.append((TIME_TO_READY, "", start_s, past.starts_s))
    decisive = sum(metric.decides for metric, *_ in found)
    for metric, load, now, earlier in found:
        threshold = metric.threshold_percent(limits)
        among = decisive if metric.decides else len(found) - decisive
        yield Shift(metric, load, now, statistics.median(earlier), limit_percent(earlier, threshold, among))


def _comparisons(
    cell: Measurement, earlier: Sequence[Measurement]
) -> Iterator[tuple[Metric, str, float, Sequence[float]]]:
    """Metric, load, value and earlier values, where there are enough of them."""
    for metric in LEVEL_METRICS:
        now = metric.read(cell)
        alike = [each for each in earlier if metric.limits(each) == metric.limits(cell)]
        values = [value for value in map(metric.read, alike) if value is not None]
        if now is not None and len(values) >= LEAST_HISTORY:
            yield metric, cell.load, now, values
