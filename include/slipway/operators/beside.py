"""With ``swap: beside``: the other side of a deployment, and the machine of its router."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slipway.operators.recording import Recording
    from slipway.spec import DeploymentSpec
    from slipway.stages.site import Outcome, Site

Say = Callable[[str], None]

TRAFFIC = "traffic"


@contextmanager
def open_router(spec: DeploymentSpec, say: Say, *, partial: bool = False) -> Iterator[Site]:
    """The machine of the router, as a site of its own."""
    from slipway.hooks.hosts import open_site

    with open_site(spec.at_router(), "", say, partial=partial) as site:
        yield site


def move_traffic(recording: Recording, spec: DeploymentSpec, say: Say) -> Outcome:
    """Have the router of ``spec`` send to its server, wherever it sent before."""
    from slipway.stages import traffic

    with open_router(spec, say) as site:
        try:
            return traffic.converge(site, spec.endpoint)
        finally:
            keep_commands(recording, site)


def keep_commands(recording: Recording, site: Site) -> None:
    """Beside those of other sites that the same task has worked on."""
    if site.commands:
        recording.detail = {**recording.detail, "commands": recording.detail.get("commands", []) + site.commands}


def stop_router(spec: DeploymentSpec, say: Say) -> int:
    """Answers how many commands acted. A machine that is out of reach is left, and said."""
    from slipway.stages import traffic

    with open_router(spec, say, partial=True) as site:
        for error in site.out_of_reach.values():
            say(f"goes on without {error}")
        return traffic.stop(site) if site.hosts else 0
