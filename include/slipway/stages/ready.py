"""Stage *ready*: the server has answered a real completion. /health alone stays 200 without an engine."""

from __future__ import annotations

import time

from slipway.errors import NotReady
from slipway.stages.site import Outcome, Site
from slipway.stages.watch import Watch

LOOK_EVERY_S = 2.0


def converge(site: Site) -> Outcome:
    """Wait for the first completion, to the end. Raises what :meth:`Watch.look` raises."""
    outcome = attend(Watch(site, time.time() + site.spec.serve.ready_timeout_s))
    if outcome is None:
        raise NotReady(f"[{site.head.name}] the watch ended early", hint="run it again")
    return outcome


def attend(watch: Watch, seconds: float = float("inf")) -> Outcome | None:
    """Look again and again, for ``seconds``; None where a server that starts needs longer than that."""
    until = time.monotonic() + seconds
    while True:
        outcome = watch.look()
        if outcome is not None or (watch.starting and time.monotonic() > until):
            return outcome
        time.sleep(LOOK_EVERY_S)
