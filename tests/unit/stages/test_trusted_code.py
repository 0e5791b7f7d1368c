"""Python files of a model run only where the deployment file names each with its digest."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from slipway.errors import SpecError
from slipway.shell import Command, Result
from slipway.stages import api_key, model_store, serve
from slipway.stages.api_key import NO_KEY
from slipway.stages.site import Site

KNOWN, OTHER = "a" * 64, "b" * 64


class Answering:
    """A host whose model has these Python files, and that does nothing else."""

    def __init__(self, name: str, files: dict[str, str]) -> None:
        self.name = name
        self.files = files

    def run(self, command: Command) -> Result:
        assert command.argv[-2:] == ("stage", "code"), command
        assert json.loads(command.stdin) == {"path": "/m/tiny"}
        return Result(self.name, command, 0, json.dumps({"files": self.files}), "", 0.0)


def site(spec, found: dict[str, str], trusted: dict[str, str]) -> Site:
    args = {**spec.serve.args, "trust-remote-code": True}
    spec = spec.model_copy(
        update={
            "serve": spec.serve.model_copy(update={"args": args}),
            "weights": spec.weights.model_copy(update={"trusted_code": trusted}),
        }
    )
    return Site(spec, {host.name: Answering(host.name, found) for host in spec.hosts}, "")


@pytest.mark.parametrize(
    ("found", "trusted", "other"),
    [
        ({"m.py": KNOWN}, {}, "m.py"),
        ({"m.py": OTHER}, {"m.py": KNOWN}, "m.py"),
        ({"m.py": KNOWN, "n.py": KNOWN}, {"m.py": KNOWN}, "n.py"),
        ({}, {"m.py": KNOWN}, "m.py"),
    ],
)
def test_any_other_file_keeps_the_server_from_starting(spec, found, trusted, other):
    with pytest.raises(SpecError, match=rf"(?s)not those that the file trusts: \['{other}'\].*trusted_code"):
        model_store.require_trusted(site(spec, found, trusted), "/m/tiny")


def test_the_very_files_may_run(spec):
    model_store.require_trusted(site(spec, {"m.py": KNOWN}, {"m.py": KNOWN}), "/m/tiny")


def test_it_is_asked_before_anything_is_started_or_stopped(spec, monkeypatch):
    asked = site(spec, {"m.py": KNOWN}, {})
    monkeypatch.setattr(serve, "look", lambda site: {})
    monkeypatch.setattr(api_key, "look", lambda site: NO_KEY)
    monkeypatch.setattr(serve, "act", lambda site, rounds: pytest.fail("something was started"))
    with pytest.raises(SpecError, match="trust-remote-code"):
        serve.converge(replace(asked), "/m/tiny")
