"""Stage *weights*: the model stands on every host, whole and checked."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from slipway.commands import python_env
from slipway.commands import weights as commands
from slipway.commands.agent import Role
from slipway.errors import HostUnfit, StageError
from slipway.facts.weights import Weights, served, speeds, staged
from slipway.hosts import Host, on_each
from slipway.spec import DeploymentSpec, Layout
from slipway.stages import environment
from slipway.stages.job import finish
from slipway.stages.secret_file import secret_there
from slipway.stages.site import Action, Outcome, Plan, Site, act, starting
from slipway.stages.staging_choice import Choice, choose

SPARE_PART = 0.05
"""The part of the model's size that must be free beside it, as the copy itself demands."""

PROGRESS = re.compile(r"\w+ [\d.]+ of [\d.]+ GiB, \d+ MiB/s(?:, .+ left)?$")
"""What a job says of how far it is, with rate and time left."""


def look(site: Site) -> dict[str, Weights]:
    return on_each(site.hosts.values(), lambda host: staged(host, site.spec))


def plan(spec: DeploymentSpec, seen: Mapping[str, Weights], interpreter: str) -> Plan:
    """Copy where the staged model is not the source's. Nothing is copied where the file serves from the source.

    A repository is downloaded by the serving environment's ``interpreter``.
    """
    lacking = [host.name for host in spec.hosts if not (host.name in seen and seen[host.name].current)]
    if spec.weights.stage and lacking:
        jobs = _jobs(spec, interpreter, lacking)
        yield [starting(host, spec.root, job, f"stage {spec.weights.name}") for host, job in jobs.items()]


def converge(site: Site) -> Outcome:
    """Stage the model where it is not, and wait for it. Raises HostUnfit for a source that is broken."""
    seen = look(site)
    for name, weights in seen.items():
        _require_whole(site.spec, name, weights)
    choice = _choice(site, seen)
    site = _with_stage(site, stage=choice.stage)
    lacking = [site.hosts[name] for name, weights in seen.items() if choice.stage and not weights.current]
    if lacking and site.spec.weights.repository:
        environment.converge(site)
    actions = act(site, _room(site, seen))
    with _tokens_there(site, lacking) as site:
        actions += act(site, plan(site.spec, seen, python_env.python(site.spec, site.lock)))
        if lacking:
            _wait(site, lacking)
            seen = look(site)
    return Outcome(actions, {**_detail(site.spec, seen), **({"choice": choice.detail} if choice.reason else {})})


@contextmanager
def _tokens_there(site: Site, lacking: list[Host]) -> Iterator[Site]:
    """What the jobs must know and nobody else, in a file on each host that stages, for as long as this lasts: the hub's
    token of a connection, or the one by which the hosts know each other in this staging."""
    layout, weights = Layout(site.root), site.spec.weights
    with ExitStack() as stack:
        if weights.stripe and len(lacking) > 1:
            path = layout.stripe_token(site.spec.name)
            stack.enter_context(secret_there(site.root, lacking, path, secrets.token_hex(32)))
        if weights.token_connection and lacking:
            path = layout.hub_token(site.spec.name)
            stack.enter_context(secret_there(site.root, lacking, path, site.hub_token()))
            weights = weights.model_copy(update={"token_file": path})
        yield replace(site, spec=site.spec.model_copy(update={"weights": weights}))


def _choice(site: Site, seen: Mapping[str, Weights]) -> Choice:
    """What the file says; where it says `auto`, what is staged everywhere already, else what was measured."""
    stage = site.spec.weights.stage
    if stage != "auto":
        return Choice(stage, "", {})
    if _current_everywhere(seen):
        return Choice(True, "staged already", {})
    needed = {name: int(weights.bytes * (1 + SPARE_PART)) for name, weights in seen.items() if not weights.current}
    short = {name: seen[name].free_bytes for name, size in needed.items() if seen[name].free_bytes < size}
    measured = on_each(site.hosts.values(), lambda host: speeds(host, site.spec))
    choice = choose(seen[site.spec.head.name].bytes, measured, short)
    for name, each in choice.predictions.items():
        loads = f"{each.load_source_s:.1f} s to load from the source, {each.load_disk_s:.1f} s from the disk"
        site.say(f"[{name}] predicted: {each.stage_s:.1f} s to stage, {loads}")
    site.say(f"weights.stage: auto: {'staged' if choice.stage else 'served from the source'}: {choice.reason}")
    return choice


def _current_everywhere(seen: Mapping[str, Weights]) -> bool:
    return all(weights.current for weights in seen.values())


def _with_stage(site: Site, *, stage: bool) -> Site:
    weights = site.spec.weights.model_copy(update={"stage": stage})
    return replace(site, spec=site.spec.model_copy(update={"weights": weights}))


def room(spec: DeploymentSpec, seen: Mapping[str, Weights], serves: str) -> Plan:
    """Where space is too short, remove versions that nothing uses. ``serves`` is what this deployment serves now."""
    short = {
        name: int(weights.bytes * (1 + SPARE_PART))
        for name, weights in seen.items()
        if not weights.current and weights.free_bytes < weights.bytes * (1 + SPARE_PART)
    }
    if short:
        why = "make room: remove versions that nothing uses"
        yield [Action(name, commands.prune(spec, serves, needed), why) for name, needed in short.items()]


def _room(site: Site, seen: Mapping[str, Weights]) -> Plan:
    if site.spec.weights.prune and site.spec.weights.stage:
        yield from room(site.spec, seen, served(site.head, site.spec))


def _jobs(spec: DeploymentSpec, interpreter: str, lacking: Sequence[str]) -> Mapping[str, Role]:
    """By host. Where the file says so, those that lack the model share the source."""
    hosts = [host for host in spec.hosts if host.name in lacking]
    if not spec.weights.repository:
        return {host.name: commands.copy(spec, host, hosts if spec.weights.stripe else ()) for host in hosts}
    fetch = python_env.program(interpreter, "fetch", stdin=commands.fetching(spec), timeout_s=0)
    return dict.fromkeys(lacking, commands.download(spec, fetch))


def model_path(site: Site) -> str:
    """The folder that vLLM reads, the same on every host. Raises StageError where it is not staged, or differs."""
    seen = look(site)
    stage = site.spec.weights.stage
    return _path(_with_stage(site, stage=_current_everywhere(seen) if stage == "auto" else stage).spec, seen)


def _wait(site: Site, hosts: list[Host]) -> None:
    job, timeout_s = commands.job_name(site.spec), site.spec.weights.timeout_s
    hint = "see the job's last lines above; staging goes on where it was interrupted"

    def waited(host: Host) -> None:
        finish(host, site.root, job, timeout_s, say=lambda line: _shown(site, host.name, line), hint=hint)

    on_each(hosts, waited)


def _shown(site: Site, host: str, line: str) -> None:
    site.say(line)
    if progress := PROGRESS.search(line):
        site.on_progress(host, progress[0])


def _detail(spec: DeploymentSpec, seen: Mapping[str, Weights]) -> dict[str, Any]:
    """What identifies the model, and how long each host's copy of it took."""
    head = seen[spec.head.name]
    detail = {"model": _path(spec, seen), "bytes": head.bytes, "digest": _digest(spec, head)}
    if not spec.weights.stage:
        return detail
    return {**detail, "staged": {name: dict(weights.took) for name, weights in seen.items()}}


def _digest(spec: DeploymentSpec, weights: Weights) -> str | None:
    """The manifest's digest; None where the source is served and has no manifest."""
    return weights.digest if spec.weights.stage else weights.source_digest


def _path(spec: DeploymentSpec, seen: Mapping[str, Weights]) -> str:
    """The folder that vLLM reads. Raises StageError, with the hosts that lack the model or hold another one."""
    lacking = [name for name, weights in seen.items() if spec.weights.stage and not weights.current]
    if lacking:
        told = f"{', '.join(lacking)}: the staged model is missing or not made from the source as it is now"
        raise StageError(told, hint="clear the weights task to stage it again")
    require_same(spec, seen)
    return str(seen[spec.head.name].path) if spec.weights.stage else spec.weights.source


def require_same(spec: DeploymentSpec, seen: Mapping[str, Weights]) -> None:
    """Raises StageError, which names the hosts whose model is not the head's."""
    head = seen[spec.head.name]
    other = {name: weights for name, weights in seen.items() if _digest(spec, weights) != _digest(spec, head)}
    if other:
        told = "\n".join(f"[{name}] its model has the digest {_digest(spec, found)}" for name, found in other.items())
        raise StageError(
            f"{told}\n[{spec.head.name}] the head's has {_digest(spec, head)}: not the same bytes",
            hint="let each host see the same source, then clear the weights task",
        )


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
