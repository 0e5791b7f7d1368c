"""The server's API key: a variable of its process by a file on the head, which those who ask there read too."""

from __future__ import annotations

import json
from dataclasses import dataclass

from slipway.spec import DeploymentSpec, Layout
from slipway.spec.serving import KEY_VARIABLE
from slipway.stages import secret_file
from slipway.stages.site import Action, Site


@dataclass(frozen=True)
class KeyFile:
    """The key's file on the head: what it shall hold, nothing where there shall be none; and whether that is so."""

    text: str = ""
    as_wanted: bool = True


NO_KEY = KeyFile()


def text(key: str) -> str:
    """A key as its file holds it."""
    return json.dumps({KEY_VARIABLE: key}) if key else ""


def look(site: Site) -> KeyFile:
    wanted = text(site.api_key())
    return KeyFile(wanted, _lies(site, wanted))


def gone(site: Site) -> bool:
    """Whether no key lies on the head, also none of an earlier revision."""
    return _lies(site, "")


def _lies(site: Site, wanted: str) -> bool:
    return secret_file.lies(site.head, site.root, Layout(site.root).api_key(site.spec.name), wanted)


def put(spec: DeploymentSpec, key: KeyFile) -> Action:
    """Make the file what it shall be, before a server is started with it."""
    path = Layout(spec.root).api_key(spec.name)
    if not key.text:
        return Action(spec.head.name, secret_file.remove(spec.root, path), "remove the API key")
    why = f"write the API key of connection {spec.serve.api_key_connection} (0600)"
    return Action(spec.head.name, secret_file.write(spec.root, path, key.text), why)
