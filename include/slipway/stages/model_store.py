"""The model stores of a deployment's hosts, apart from any run: what is there, is it whole, and what nothing uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slipway.commands import kit
from slipway.commands import weights as commands
from slipway.errors import SpecError, StageError
from slipway.facts.weights import Version, served, staged, versions
from slipway.hosts import Host, on_each
from slipway.stages.site import Site


def look(site: Site) -> Mapping[str, list[Version]]:
    """By host, every version of every model there."""
    return on_each(site.hosts.values(), lambda host: versions(host, site.spec))


def verify(site: Site) -> Mapping[str, Mapping[str, Any]]:
    """Read the deployment's staged version again on every host; what is damaged is marked, and staged anew next time.

    Raises StageError where a host has none.
    """

    def verified(host: Host) -> Mapping[str, Any]:
        path = staged(host, site.spec).path
        if path is None:
            raise StageError(f"[{host.name}] no version of {site.spec.weights.name} is staged", hint="deploy it first")
        return kit.reply(host.run(commands.verify(site.spec, path)))

    return on_each(site.hosts.values(), verified)


def prune(site: Site) -> Mapping[str, list[str]]:
    """Remove from every host what nothing uses there, of this model and others; answers the paths."""
    serves = served(site.head, site.spec)

    def pruned(host: Host) -> list[str]:
        return list(kit.reply(host.run(commands.prune(site.spec, serves)))["removed"])

    return on_each(site.hosts.values(), pruned)


def take_manifest(site: Site) -> Mapping[str, Any]:
    """Have the head read the source once and keep its manifest beside it. Raises StageError for a repository."""
    if site.spec.weights.repository:
        raise StageError("a repository has no manifest of ours", hint="the hub publishes each file's digest itself")
    return kit.reply(site.head.run(commands.manifest(site.spec)))


def require_trusted(site: Site, path: str) -> None:
    """Raises SpecError where the model on a host has other Python files than those that the deployment file trusts."""

    def found(host: Host) -> dict[str, str]:
        return dict(kit.reply(host.run(commands.code(site.spec, path)))["files"])

    trusted = site.spec.weights.trusted_code
    for name, files in on_each(site.hosts.values(), found).items():
        if files != trusted:
            other = sorted(file for file in files.keys() | trusted.keys() if files.get(file) != trusted.get(file))
            told = ", ".join(f"{file}: {files[file]}" for file in sorted(files))
            raise SpecError(
                f"[{name}] trust-remote-code: the model's Python files are not those that the file trusts: {other}",
                hint=f"read them in {path}; if they may run, set weights.trusted_code: {{{told}}}",
            )


def warm(site: Site, path: str) -> None:
    """Bring the version that is served next into every host's page cache, where memory allows it."""

    def warmed(host: Host) -> None:
        answer = kit.reply(host.run(commands.warm(site.spec, path)))
        size = f"{answer['bytes'] / 2**30:.1f} GiB"
        said = (
            f"{size} in the page cache after {answer['seconds']:.1f} s"
            if answer["warmed"]
            else (f"{size} are not brought into the page cache: too little memory is free")
        )
        site.say(f"[{host.name}] the model: {said}")

    on_each(site.hosts.values(), warmed)
