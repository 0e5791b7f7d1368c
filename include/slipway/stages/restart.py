"""Stage *restart*: a server that has ended or hangs is stopped whole, and serves again, which smoke proves."""

from __future__ import annotations

from slipway.stages import restore, serve
from slipway.stages.site import Outcome, Site, act


def converge(site: Site, model: str) -> Outcome:
    """Stop every part that Slipway started of this server, and bring the same revision back; ``model`` is the folder
    that it served its weights from. Raises what the stages raise."""
    alive = {name: state for name, state in serve.look(site).items() if state.alive}
    stopped = act(site, serve.stops(site.spec, alive, "it does not answer"))
    outcome = restore.converge(site, model)
    return Outcome(outcome.actions + stopped, outcome.detail)
