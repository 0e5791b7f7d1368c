"""One host as preflight sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slipway.commands import ray, vllm
from slipway.facts.machine import Links, TakenPort, chosen_gpus
from slipway.facts.weights import Reading, Weights
from slipway.spec import DeploymentSpec, HostSpec

GIB = 1 << 30


@dataclass(frozen=True)
class Seen:
    """A host of the deployment, and all that was found there.

    ``facts`` are the probe's own; ``taken`` the deployment's ports that somebody else holds; ``skew_s`` how far the
    clock surely is from this machine's. ``weights`` is None, and ``fault`` says why, where the model's folder could not
    be looked at. ``own_sessions`` are those of the deployment's own processes; none where nothing of it runs.
    """

    spec: DeploymentSpec
    host: HostSpec
    facts: Mapping[str, Any]
    links: Links
    skew_s: float = 0.0
    taken: Sequence[TakenPort] = ()
    has_environment: bool = False
    weights: Weights | None = None
    reading: Reading | None = None
    fault: str = ""
    own_sessions: frozenset[int] = frozenset()

    @property
    def env(self) -> dict[str, str]:
        """The file's variables for this host."""
        return self.spec.env_of(self.host)

    @property
    def gpus(self) -> list[Mapping[str, Any]]:
        """The GPUs that the deployment would take."""
        return chosen_gpus(self.env, self.host.gpus, self.facts["gpus"])


def ports(spec: DeploymentSpec, host: HostSpec) -> list[int]:
    """Every port that the deployment will listen on there, but those that Ray's workers choose."""
    serving = [spec.serve.port, vllm.meeting_port(spec)] if host == spec.head else []
    return [*ray.ports(spec, host), *serving]


def gib(size: float) -> str:
    """A size for the eye: ``8 MiB``, ``7.5 GiB``, ``642 GiB``."""
    if size < GIB / 10:
        return f"{size / (1 << 20):.0f} MiB"
    return f"{size / GIB:.1f} GiB" if size < 10 * GIB else f"{size / GIB:.0f} GiB"
