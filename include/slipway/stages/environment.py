"""Stage *environment*: the serving environment stands on every host, and its versions are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from slipway.commands import agent, python_env
from slipway.commands.agent import Role
from slipway.errors import StageError
from slipway.facts import python_env as environments
from slipway.facts.role import role
from slipway.hosts import Host, on_each
from slipway.spec import DeploymentSpec
from slipway.stages.job import finish
from slipway.stages.site import Action, Outcome, Plan, Site, act, starting

LACKING = ("No matching distribution found", "Could not find a version")
"""What pip says when no index has a pin."""


@dataclass(frozen=True)
class Seen:
    """Whether the environment is there; ``lost`` says that it was made, and somebody has removed it since."""

    present: bool = False
    lost: bool = False


def look(site: Site) -> dict[str, Seen]:
    """By host. The job is looked at first: one that ends in between has left an environment."""
    interpreter = python_env.python(site.spec, site.lock)
    job = "" if site.spec.environment.existing else python_env.build(site.spec, site.lock, ()).name

    def seen(host: Host) -> Seen:
        made = bool(job) and role(host, site.root, job).state == "done"
        present = environments.present(host, interpreter)
        return Seen(present, lost=made and not present)

    return on_each(site.hosts.values(), seen)


def plan(spec: DeploymentSpec, lock: str, seen: Mapping[str, Seen], indexes: tuple[str, ...] = ()) -> Plan:
    """Make it where it is missing. An existing environment is never made."""
    if spec.environment.existing:
        return
    lacking = [host.name for host in spec.hosts if not seen.get(host.name, Seen()).present]
    if not lacking:
        return
    build = python_env.build(spec, lock, indexes)
    if lost := [name for name in lacking if seen.get(name, Seen()).lost]:
        yield [Action(host, agent.forget(spec.root, build.name), "the environment was removed") for host in lost]
    for write in python_env.inputs(spec, lock):
        yield [Action(host, write, "write what the environment is made from") for host in lacking]
    yield [starting(host, spec.root, build, "make the serving environment") for host in lacking]


def converge(site: Site) -> Outcome:
    """Make the environment where it is missing, wait for it, and read its versions. Raises StageError."""
    seen = look(site)
    actions = act(site, plan(site.spec, site.lock, seen))
    if actions:
        actions += _finished(site, seen)
    versions = _versions(site)
    require_lm_eval(site, versions)
    return Outcome(actions, {"versions": versions, "python": python_env.python(site.spec, site.lock)})


def require_lm_eval(site: Site, versions: Mapping[str, str]) -> None:
    """Raises StageError where the file asks for lm-eval and the environment lacks it."""
    if site.spec.verdict.lm_eval and not versions.get("lm_eval"):
        raise StageError(
            f"[{site.head.name}] verdict.lm_eval: the serving environment has no lm-eval",
            hint="add lm-eval[api] and what it needs to the lock file, or to environment.existing",
        )


def _finished(site: Site, seen: Mapping[str, Seen]) -> int:
    """Wait for the jobs; where the configured indexes lack a pin, once more with the file's fallback indexes."""
    fallback = site.spec.environment.fallback_indexes
    try:
        _wait(site, python_env.build(site.spec, site.lock, ()), seen)
    except StageError as error:
        if not (fallback and any(words in str(error) for words in LACKING)):
            raise
        site.say("the configured package indexes lack a pin; trying the deployment file's fallback indexes")
        again = act(site, plan(site.spec, site.lock, look(site), fallback))
        _wait(site, python_env.build(site.spec, site.lock, fallback), seen)
        return again
    return 0


def _wait(site: Site, job: Role, seen: Mapping[str, Seen]) -> None:
    lacking = [host for name, host in site.hosts.items() if not seen[name].present]
    timeout_s = site.spec.environment.timeout_s
    hint = "mend the pin that pip names, set `environment.fallback_indexes`, or give a wheelhouse"
    on_each(lacking, lambda host: finish(host, site.root, job.name, timeout_s, say=site.say, hint=hint))


def _versions(site: Site) -> dict[str, str]:
    """The versions, which must be the same on every host."""
    interpreter = python_env.python(site.spec, site.lock)
    found = on_each(site.hosts.values(), lambda host: dict(environments.versions(host, interpreter)))
    first = found[site.spec.head.name]
    for host, versions in found.items():
        differing = [name for name in first if versions.get(name) != first[name]]
        if differing:
            told = ", ".join(f"{name} {versions.get(name)} (head: {first[name]})" for name in differing)
            raise StageError(
                f"[{host}] its serving environment differs from the head's: {told}", hint="make both from one lock file"
            )
    return first
