"""A run's figures against those of earlier runs: better, same, worse, or not enough history."""

from __future__ import annotations

import enum
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slipway.results import Measurement, Validity
from slipway.spec.types import VerdictSpec

LEAST_HISTORY = 3
"""Fewer earlier runs than this are no history."""

MAD_TO_SIGMA = 1.4826
"""The median absolute deviation times this estimates the standard deviation of normal noise."""

SIGMAS = 3.0


class Answer(enum.StrEnum):
    BETTER = "better"
    SAME = "same"
    WORSE = "worse"
    NOT_ENOUGH_HISTORY = "not enough history"
    INVALID = "invalid"


@dataclass(frozen=True)
class Verdict:
    """The answer, and the sentence that says why."""

    answer: Answer
    reason: str


@dataclass(frozen=True)
class Shift:
    """How one metric of one level differs from its history; ``percent`` is positive where it got better."""

    metric: str
    load: str
    percent: float
    beyond_noise: bool

    def __str__(self) -> str:
        return f"{self.metric} at {self.load} {self.percent:+.1f} %"


History = Mapping[str, Sequence[Measurement]]
"""Earlier valid cells of the same deployment and workload, by load."""


def judge(cells: Sequence[Measurement], history: History, limits: VerdictSpec) -> Verdict:
    """Throughput and TPOT of each level against the median of its history.

    A change counts when it exceeds the file's percentage and three times the noise of the history (by its MAD). One
    worse level makes the run worse; otherwise one better level makes it better.
    """
    invalid = [cell for cell in cells if cell.validity is Validity.INVALID]
    if invalid:
        told = "; ".join(f"{cell.load}: {', '.join(cell.reasons)}" for cell in invalid)
        return Verdict(Answer.INVALID, f"cells that may not be believed: {told}")
    short = [cell.load for cell in cells if len(history.get(cell.load, ())) < LEAST_HISTORY]
    if short or not cells:
        least = min((len(history.get(load, ())) for load in short), default=0)
        return Verdict(
            Answer.NOT_ENOUGH_HISTORY, f"{least} of the {LEAST_HISTORY} earlier valid runs that a comparison needs"
        )
    return _weigh([shift for cell in cells for shift in _shifts(cell, history[cell.load], limits)])


def _weigh(shifts: Sequence[Shift]) -> Verdict:
    worse = [shift for shift in shifts if shift.beyond_noise and shift.percent < 0]
    better = [shift for shift in shifts if shift.beyond_noise and shift.percent > 0]
    if worse:
        return Verdict(Answer.WORSE, "; ".join(map(str, worse)))
    if better:
        return Verdict(Answer.BETTER, "; ".join(map(str, better)))
    largest = max(shifts, key=lambda shift: abs(shift.percent))
    return Verdict(Answer.SAME, f"nothing beyond noise; the largest change is {largest}")


def _shifts(cell: Measurement, earlier: Sequence[Measurement], limits: VerdictSpec) -> list[Shift]:
    shifts = [
        _shift(
            "throughput",
            cell,
            [e.output_tokens_per_s for e in earlier],
            cell.output_tokens_per_s,
            limits.throughput_percent,
        )
    ]
    slower = [e.tpot.p50 for e in earlier if e.tpot]
    if cell.tpot and len(slower) >= LEAST_HISTORY:
        rising = _shift("TPOT p50", cell, slower, cell.tpot.p50, limits.tpot_percent)
        shifts.append(Shift(rising.metric, rising.load, -rising.percent, rising.beyond_noise))
    return shifts


def _shift(metric: str, cell: Measurement, earlier: Sequence[float], now: float, least_percent: float) -> Shift:
    """The change from the median of ``earlier`` in percent, and whether it is more than noise."""
    middle = statistics.median(earlier)
    noise = SIGMAS * MAD_TO_SIGMA * statistics.median(abs(value - middle) for value in earlier)
    percent = 100 * (now - middle) / middle if middle else 0.0
    return Shift(metric, cell.load, percent, abs(percent) >= least_percent and abs(now - middle) >= noise)
