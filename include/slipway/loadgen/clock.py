"""The clock of a load process on another host, against the conducting machine's: asked over Locust's own connection."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gevent.queue import Empty, Queue

from slipway.errors import LoadTestFailed

CLOCK = "slipway_clock"
"""The message, both ways: what time is it with you? ``asked_ns`` comes back beside ``at_ns``."""

ASKED = 20
ANSWER_S = 5.0


@dataclass(frozen=True)
class Offset:
    """This host's clock is ``ahead_ns`` ahead of the other, known to ``bound_ns`` either way."""

    ahead_ns: int = 0
    bound_ns: int = 0


class Clock:
    """Asks with ``send``; whoever gets the answers hands them to :meth:`take`."""

    def __init__(self, send: Callable[[dict[str, Any]], None]) -> None:
        self._send = send
        self._answers: Queue = Queue()

    def take(self, answer: dict[str, int]) -> None:
        self._answers.put(offset(answer["asked_ns"], answer["at_ns"], time.time_ns()))

    def offset(self) -> Offset:
        """By the quickest of many answers. Raises LoadTestFailed where none comes."""
        return min((self._asked() for _ in range(ASKED)), key=lambda found: found.bound_ns)

    def _asked(self) -> Offset:
        self._send({"asked_ns": time.time_ns()})
        try:
            found: Offset = self._answers.get(timeout=ANSWER_S)
        except Empty as error:
            message = f"the conducting process did not say its time within {ANSWER_S:g} s"
            raise LoadTestFailed(message, hint="look at its log and at the network between the hosts") from error
        return found


def offset(asked_ns: int, at_ns: int, answered_ns: int) -> Offset:
    """From one answer: the other's clock stood at ``at_ns`` somewhere between the two moments here."""
    return Offset((asked_ns + answered_ns) // 2 - at_ns, (answered_ns - asked_ns + 1) // 2)
