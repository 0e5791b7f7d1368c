"""Stage *liveness*: the engine of a server that is up answers, or at least works. /health cannot tell."""

from __future__ import annotations

from slipway.commands import vllm
from slipway.errors import NotReady
from slipway.facts.role import role
from slipway.facts.vllm import MISSES, Pulse, pulse
from slipway.stages import serve
from slipway.stages.site import Outcome, Site
from slipway.stages.watch import require_not_wedged

HTTP_OK = 200


def converge(site: Site) -> Outcome:
    """Ask for completions of one token until one is answered, or it is clear why none is: within a minute.

    The detail's ``engine`` is ``starting`` (not up yet: nothing to judge), ``answers``, or ``saturated`` (it missed the
    completion and counted tokens meanwhile). Raises ServerDied, ServerWedged; NotReady where the server says neither,
    and where it answers with an error.
    """
    serve.require_alive(site)
    if role(site.head, site.root, vllm.role_name(site.spec)).ready_at is None:
        return _found(site, "starting", 0.0)
    pulses: list[Pulse] = []
    while len(pulses) < MISSES:
        pulses.append(pulse(site.head, site.spec))
        if (status := pulses[-1].status) is not None:
            _require_completion(site, status)
            return _found(site, "answers", pulses[-1].seconds)
        if pulses[-1].works:
            return _found(site, "saturated", pulses[-1].seconds)
        serve.require_alive(site)
    require_not_wedged(site, pulses)
    raise NotReady(
        f"[{site.head.name}] {MISSES} completions were not answered, and /health or /metrics do not tell why",
        hint="look at the server's log; a server that was stopped by a signal answers nothing at all",
    )


def _require_completion(site: Site, status: int) -> None:
    if status != HTTP_OK:
        message = f"[{site.head.name}] a completion of one token was answered with HTTP {status}"
        raise NotReady(message, hint="look at the server's log")


def _found(site: Site, engine: str, seconds: float) -> Outcome:
    site.say(f"liveness: the engine {'is starting' if engine == 'starting' else engine} ({seconds:.2f} s)")
    return Outcome(0, {"engine": engine, "seconds": round(seconds, 3)})
