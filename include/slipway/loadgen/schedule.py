"""When the requests of one load process are due, and when a user of a shaped load takes part. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import count

from slipway.loadgen.prompts import Prompt
from slipway.results.cell import Window
from slipway.results.plan import LoadPlan
from slipway.results.shape import arrivals_s, reaches_s


class Schedule:
    """Of process ``index``; all processes together make the whole load. The warm-up comes before the window.

    Constant arrivals of several processes interleave, Poisson ones add up to Poisson ones, and of the requests of a
    trace each process takes every one of its turn. Times are nanoseconds since the epoch.
    """

    def __init__(self, plan: LoadPlan, prompts: Sequence[Prompt], index: int, chance: random.Random) -> None:
        self._plan = plan
        self._index = index
        self._chance = chance
        self._traced_s = [prompt.due_s or 0.0 for prompt in prompts[index :: plan.processes]] if plan.trace else []

    def arrivals_ns(self, window: Window) -> Iterator[int]:
        """When each request of an open loop is due; it ends with the window, or with the trace."""
        begin_ns = self._begin_ns(window)
        moments = self._traced_s if self._plan.trace else arrivals_s(self._plan.timeline, self._numbers())
        yield from (begin_ns + int(at_s * 1e9) for at_s in moments)

    def turn_ns(self, user: int, after_ns: int, window: Window) -> int | None:
        """From when on this user of the process asks, not before ``after_ns``; None where it does not any more.

        The users of all processes are numbered in turn, and those with the lowest numbers ask.
        """
        number, begin_ns = user * self._plan.processes + self._index, self._begin_ns(window)
        at_s = reaches_s(self._plan.timeline, number + 1, max(0.0, (after_ns - begin_ns) / 1e9))
        return None if at_s is None else max(after_ns, begin_ns + int(at_s * 1e9))

    def _begin_ns(self, window: Window) -> int:
        return window.start_ns - int(self._plan.warmup_s * 1e9)

    def _numbers(self) -> Iterator[float]:
        """The places of this process's requests among those of all."""
        if self._plan.arrivals == "constant":
            yield from (float(place) for place in count(self._index, self._plan.processes))
        place = 0.0
        while True:
            place += self._chance.expovariate(1.0) * self._plan.processes
            yield place
