"""Stage *weights*: the model stands on every host, whole and checked."""

from __future__ import annotations

from collections.abc import Mapping

from slipway.commands import weights as commands
from slipway.errors import HostUnfit, StageError
from slipway.facts.weights import Weights, staged
from slipway.hosts import Host, on_each
from slipway.spec import DeploymentSpec
from slipway.stages.job import finish
from slipway.stages.site import Outcome, Plan, Site, act, starting


def look(site: Site) -> dict[str, Weights]:
    return on_each(site.hosts.values(), lambda host: staged(host, site.spec))


def plan(spec: DeploymentSpec, seen: Mapping[str, Weights]) -> Plan:
    """Copy where the staged model is not the source's. Nothing is copied where the file serves from the source."""
    lacking = [host.name for host in spec.hosts if not (host.name in seen and seen[host.name].current)]
    if spec.weights.stage and lacking:
        copy = commands.copy(spec)
        yield [starting(host, spec.root, copy, f"stage {spec.weights.name}") for host in lacking]


def converge(site: Site) -> Outcome:
    """Stage the model where it is not, and wait for it. Raises HostUnfit for a source that is broken."""
    seen = look(site)
    for name, weights in seen.items():
        _require_whole(site.spec, name, weights)
    lacking = [site.hosts[name] for name, weights in seen.items() if site.spec.weights.stage and not weights.current]
    actions = act(site, plan(site.spec, seen))
    if lacking:
        _wait(site, lacking)
        seen = look(site)
    head = seen[site.spec.head.name]
    return Outcome(actions, {"model": _path(site.spec, seen), "bytes": head.bytes, "digest": head.digest})


def model_path(site: Site) -> str:
    """The folder that vLLM reads, the same on every host. Raises StageError where it is not staged, or differs."""
    return _path(site.spec, look(site))


def _wait(site: Site, hosts: list[Host]) -> None:
    job, timeout_s = commands.copy(site.spec).name, site.spec.weights.timeout_s
    hint = "see the job's last lines above; staging goes on where it was interrupted"
    on_each(hosts, lambda host: finish(host, site.root, job, timeout_s, say=site.say, hint=hint))


def _path(spec: DeploymentSpec, seen: Mapping[str, Weights]) -> str:
    if not spec.weights.stage:
        return spec.weights.source
    paths = {weights.path for weights in seen.values() if weights.current and weights.path}
    lacking = [name for name, weights in seen.items() if not weights.current]
    if lacking or len(paths) != 1:
        raise StageError(
            f"{', '.join(lacking) or 'hosts'}: the staged model is missing or not the same everywhere",
            hint="clear the weights task to stage it again",
        )
    return paths.pop()


def _require_whole(spec: DeploymentSpec, host: str, weights: Weights) -> None:
    if not weights.source_exists:
        raise HostUnfit(
            host, f"weights.source: {spec.weights.source} is not there", hint="mount the storage, or mend the path"
        )
    if weights.problems:
        told = "\n".join(f"  {problem}" for problem in weights.problems)
        raise HostUnfit(
            host, f"weights.source: {spec.weights.source} is not a whole model:\n{told}", hint="mend the source"
        )
