"""The shape of a load over time: steps and ramps of users, or of requests a second. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field


@dataclass(frozen=True, kw_only=True)
class Step:
    """``seconds`` in which the load goes evenly from ``first`` to ``last``: users, or requests a second."""

    first: Annotated[float, Field(ge=0)]
    last: Annotated[float, Field(ge=0)]
    seconds: Annotated[float, Field(gt=0)]

    @property
    def area(self) -> float:
        """The load times its time: of a rate, how many requests are due in the step."""
        return (self.first + self.last) / 2 * self.seconds

    def at(self, s: float) -> float:
        """The load ``s`` seconds after the step's begin."""
        return self.first + (self.last - self.first) * s / self.seconds

    def after(self, area: float) -> float:
        """How many seconds after its begin the step has gathered ``area``, which is more than 0 and at most its own."""
        slope = (self.last - self.first) / self.seconds
        if not slope:
            return area / self.first
        return (math.sqrt(max(0.0, self.first**2 + 2 * slope * area)) - self.first) / slope

    def reaches(self, load: float, from_s: float) -> float | None:
        """The first moment of the step, from ``from_s`` on, at which the load is ``load`` or more."""
        if self.at(from_s) >= load:
            return from_s
        return (load - self.first) / (self.last - self.first) * self.seconds if self.last >= load else None


def length_s(steps: Iterable[Step]) -> float:
    return sum(step.seconds for step in steps)


def mean(steps: Sequence[Step]) -> float:
    return sum(step.area for step in steps) / length_s(steps)


def peak(steps: Iterable[Step]) -> float:
    return max(max(step.first, step.last) for step in steps)


def arrivals_s(steps: Iterable[Step], numbers: Iterator[float]) -> Iterator[float]:
    """When each of these requests is due, as the rate of the steps goes: ``numbers`` rise, and 0 is the first."""
    begin_s = gathered = 0.0
    number = next(numbers)
    for step in steps:
        while number < gathered + step.area:
            yield begin_s + (step.after(number - gathered) if number > gathered else 0.0)
            number = next(numbers)
        begin_s, gathered = begin_s + step.seconds, gathered + step.area


def reaches_s(steps: Iterable[Step], load: float, from_s: float) -> float | None:
    """The first moment from ``from_s`` on at which the load is ``load`` or more; None where it is not any more."""
    begin_s = 0.0
    for step in steps:
        end_s = begin_s + step.seconds
        if from_s < end_s and (found := step.reaches(load, max(0.0, from_s - begin_s))) is not None:
            return begin_s + found
        begin_s = end_s
    return None
