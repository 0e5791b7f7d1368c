"""Stage *restore*: the last good revision serves, and smoke proves it. Where it still serves, nothing is done."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

from slipway.stages import environment, ray_cluster, ready, serve, smoke, teardown
from slipway.stages.site import Outcome, Site


def converge(site: Site, model: str) -> Outcome:
    """Bring back the revision that ``site`` is of; ``model`` is the folder that it served its weights from.

    Its environment and its weights are still there. Raises what the stages raise.
    """
    actions = environment.converge(site).actions
    actions += ray_cluster.converge(site).actions
    actions += serve.converge(site, model).actions
    ready.converge(site)
    checks = smoke.converge(site).detail["checks"]
    smoke.require_passed(checks)
    return Outcome(actions, {"passed": len(checks), "asked": len(checks)})


def vacate(site: Site, addresses: Container[str]) -> int:
    """Stop what ``site``, of the refused revision, runs on other hosts than those; answers how many commands acted.

    A host that is out of reach is left.
    """
    beside = [host.name for host in site.spec.hosts if host.address not in addresses]
    left = replace(site, hosts={name: site.hosts[name] for name in beside if name in site.hosts}, out_of_reach={})
    runs_there = any(roles for roles in teardown.look(left).values())
    return teardown.converge(left).actions if runs_there else 0
