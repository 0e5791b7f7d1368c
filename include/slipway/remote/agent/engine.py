"""Whether the engine of a server that is ready works, asked beside the agent's loop: /health stays 200 without one."""

from __future__ import annotations

import re
import threading
import time

from slipway.remote.agent.wanted import Liveness
from slipway.remote.probe.asking import ask

OK = 200

SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{.*\})?\s+(\S+)", re.MULTILINE)


class Engine:
    """What is known of an engine from look to look. One whose metrics do not tell is never said to hang."""

    def __init__(self, liveness: Liveness) -> None:
        self._liveness = liveness
        self._signs: tuple[str, ...] | None = None
        self._lived_at = time.monotonic()
        self._missed = 0

    def hangs(self) -> bool:
        """Look once; takes as long as a completion may."""
        signs = self._look()
        if signs is None or signs != self._signs:
            return self._lives(signs)
        if time.monotonic() - self._lived_at < self._liveness.idle_s:
            return False
        if self._answers() or (signs := self._look()) != self._signs:
            return self._lives(signs)
        self._missed += 1
        return self._missed >= self._liveness.misses

    def _lives(self, signs: tuple[str, ...] | None) -> bool:
        self._signs, self._lived_at, self._missed = signs, time.monotonic(), 0
        return False

    def _answers(self) -> bool:
        """Any status is an answer. One that is not even healthy ends by itself, and is no hang."""
        return ask(self._liveness.completion)["status"] is not None or ask(self._liveness.health)["status"] != OK

    def _look(self) -> tuple[str, ...] | None:
        """The signs now; None where the metrics do not have them."""
        answer = ask(self._liveness.metrics)
        if answer["status"] != OK:
            return None
        found = SAMPLE.findall(answer["body"])
        signs = tuple(f"{name} {value}" for name, value in found if name in self._liveness.signs)
        return signs or None


class Watchman:
    """Looks at the engine in a thread of its own, so that the agent hears signals meanwhile.

    The thread must have ended before the agent forks again: ``end`` waits for it, which is short once nothing of the
    server is left to answer.
    """

    def __init__(self, liveness: Liveness) -> None:
        self._engine = Engine(liveness)
        self._look_every_s = liveness.idle_s / 2
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.hangs = False
        self._thread.start()

    def end(self) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(self._look_every_s):
            if self._engine.hangs():
                self.hangs = True
                return
