"""How far a figure must move before it is more than noise: median and MAD, for few earlier runs. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from functools import lru_cache

MAD_TO_SIGMA = 1.4826
"""The median absolute deviation times this estimates the standard deviation of normal noise."""

FALSE_ALARMS = 0.006
"""How often all comparisons of a run together may take pure noise for a change, were the noise known exactly."""

THRESHOLD_TO_SIGMA = 2.5
"""A threshold over this is the noise that is expected at first: 2 %, where changes of 5 % are to be found."""

EXPECTED_WEIGHT = 12.0
"""How much the expected noise weighs against what the history shows, in degrees of freedom."""

MAD_EFFICIENCY = 0.4
"""What the MAD of n values is worth, in degrees of freedom, of the n - 1 that a standard deviation has."""

MEDIAN_VARIANCE = math.pi / 2
"""The variance of a median of n normal values, times n, over theirs."""


def limit_percent(earlier: Sequence[float], threshold_percent: float, comparisons: int) -> float:
    """The least change from the median of ``earlier``, in percent of it, that is more than noise.

    At least ``threshold_percent``. The noise is that of the history, drawn towards the noise that the threshold expects
    as long as the history is short: the MAD of five values alone is off by half as often as not. ``comparisons`` is how
    many figures of the run are compared: each must be the rarer, the more there are.
    """
    return _limit_percent(earlier, threshold_percent, comparisons, 1 + MEDIAN_VARIANCE / len(earlier))


def pair_limit_percent(earlier: Sequence[float], threshold_percent: float, comparisons: int) -> float:
    """The same for the change from one run to another: each of the two has the noise of a single run."""
    return _limit_percent(earlier, threshold_percent, comparisons, 2.0)


def _limit_percent(earlier: Sequence[float], threshold_percent: float, comparisons: int, variance: float) -> float:
    """``variance`` is that of the difference, over that of one run."""
    return max(
        threshold_percent, _quantile(comparisons) * math.sqrt(variance) * _noise_percent(earlier, threshold_percent)
    )


@lru_cache
def _quantile(comparisons: int) -> float:
    """How many standard deviations pure noise may lie off, so that all comparisons together keep ``FALSE_ALARMS``."""
    return statistics.NormalDist().inv_cdf(1 - FALSE_ALARMS / (2 * comparisons))


def _noise_percent(earlier: Sequence[float], threshold_percent: float) -> float:
    """The standard deviation of one run, in percent of the median. A history noisier than the threshold is believed."""
    shown = _shown_percent(earlier)
    if shown > threshold_percent:
        return shown
    expected, weight = threshold_percent / THRESHOLD_TO_SIGMA, MAD_EFFICIENCY * (len(earlier) - 1)
    return math.sqrt((EXPECTED_WEIGHT * expected**2 + weight * shown**2) / (EXPECTED_WEIGHT + weight))


def _shown_percent(earlier: Sequence[float]) -> float:
    """By the MAD, which is small for few values: n / (n - 0.8) makes up for that."""
    middle = statistics.median(earlier)
    deviation = statistics.median(abs(value - middle) for value in earlier)
    return 100 * MAD_TO_SIGMA * deviation / abs(middle) * len(earlier) / (len(earlier) - 0.8) if middle else 0.0
