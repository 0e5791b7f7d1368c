"""Preflight's rows for machines that only make load."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

from slipway.errors import HostUnreachable
from slipway.hosts import LocalHost
from slipway.results.preflight import Check, State
from slipway.shell import Command, Result
from slipway.spec import DeploymentSpec
from slipway.spec.judging import LoadWorkerSpec
from slipway.stages.preflight import load_hosts
from slipway.stages.site import Site


class Away:
    name = "load-2"

    def run(self, command: Command) -> Result:
        raise HostUnreachable(self.name, f"no SSH for {command.argv[0]}", hint="look at its connection")


def _look(spec: DeploymentSpec, host: LocalHost | Away | None = None, **worker: str) -> list[Check]:
    workers = (LoadWorkerSpec(name="load-2", address="127.0.0.1", **worker),)  # type: ignore[arg-type]
    spec = spec.model_copy(update={"benchmark": spec.benchmark.model_copy(update={"workers": workers})})
    return load_hosts.look(Site(spec, {}, load_hosts={"load-2": host or LocalHost("load-2")}))


def test_what_locust_needs_is_there(spec: DeploymentSpec) -> None:
    [made] = _look(spec, python=sys.executable)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert (made.host, made.name, made.state) == ("load-2", "locust", State.OK)
    assert made.found == f"Python {python} at {sys.executable}"
    [adopted] = _look(spec, existing=sys.executable)
    assert adopted.found.startswith("Locust 2.")
    assert load_hosts.look(Site(spec, {})) == []


def test_an_environment_without_locust_is_no_place_for_it(spec: DeploymentSpec, tmp_path: Path) -> None:
    lacking = tmp_path / "python"
    lacking.write_text("#!/bin/sh\necho 'no module named locust' >&2\nexit 1\n")
    lacking.chmod(0o755)
    [row] = _look(spec, existing=str(lacking))
    assert (row.state, row.found) == (State.FAIL, f"{lacking}: no module named locust")
    assert row.next_step == "correct `benchmark.workers.existing` of load-2, or install it there"


def test_another_version_of_locust_is_told(spec: DeploymentSpec, tmp_path: Path) -> None:
    older = tmp_path / "python"
    older.write_text("#!/bin/sh\necho Locust 2.0.0\n")
    older.chmod(0o755)
    [row] = _look(spec, existing=str(older))
    assert (row.state, row.found) == (State.WARN, f"Locust 2.0.0 at {older}, but {version('locust')} conducts")


def test_what_cannot_be_run_or_reached_is_said(spec: DeploymentSpec) -> None:
    [missing] = _look(spec, python="/nowhere/python3")
    assert missing.state == State.FAIL
    assert "/nowhere/python3" in missing.found
    [away] = _look(spec, Away())
    assert (away.state, away.found) == (State.FAIL, "no SSH for python3.11")
    assert away.next_step == "look at its connection"
