"""Other hosts that make load: what the plan becomes, and what is said of a host that is not fit or not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from slipway.errors import HostError, HostUnreachable
from slipway.hosts import LocalHost
from slipway.hosts.local import own_address
from slipway.results.plan import LoadPlan
from slipway.shell import Command, Result
from slipway.spec.judging import LoadWorkerSpec
from slipway.stages import load_workers
from slipway.stages.load_workers import LoadWorker, helping, shared, starts
from slipway.stages.site import prepare

PLAN = LoadPlan(base_url="http://h:1", model="m", users=8, seconds=1.0, processes=2, folder="/cells/users-8")


class Away:
    """A host that does not answer."""

    name = "load-2"

    def run(self, command: Command) -> Result:
        raise HostUnreachable(self.name, f"no answer to {command.argv[0]}", hint="look at it")


def _worker(root: Path, name: str = "load-2", processes: int = 3, existing: str | None = None) -> LoadWorker:
    spec = LoadWorkerSpec(name=name, address="127.0.0.1", processes=processes, existing=existing)
    return LoadWorker(spec, LocalHost(name), str(root))


def test_all_processes_share_the_load_and_meet_at_this_machines_address(tmp_path: Path) -> None:
    workers = [_worker(tmp_path), _worker(tmp_path, "load-3", 1)]
    plan = shared(PLAN, workers, 20008)
    assert (plan.processes, plan.own_processes, plan.workers) == (6, 2, {"load-2": 3, "load-3": 1})
    assert plan.master == ("127.0.0.1", 20008)
    assert shared(PLAN, [], 20008) == PLAN
    first, second = starts(workers, plan)
    assert (first.host, second.host) == ("load-2", "load-3")
    [step] = first.starts
    assert step.argv[step.argv.index("--processes") + 1] == "3"
    assert str(step.cwd).startswith(f"{tmp_path}/loads/load.")


def test_the_address_of_a_host_that_is_none_is_named() -> None:
    assert own_address("127.0.0.1") == "127.0.0.1"
    with pytest.raises(HostError, match=r"255\.255\.255\.255.*no way to that address"):
        own_address("255.255.255.255")


def test_an_interpreter_that_is_not_there_is_named(tmp_path: Path) -> None:
    worker = _worker(tmp_path, existing="/nowhere/bin/python")
    with pytest.raises(HostError, match="there is no /nowhere/bin/python"), helping([worker], PLAN, print):
        pytest.fail("it goes on")


def test_what_a_host_holds_comes_home_part_by_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_workers, "PART_BYTES", 1000)
    worker = _worker(tmp_path)
    prepare(worker.host, worker.root)
    data = os.urandom(2500)
    (tmp_path / "rows").write_bytes(data)
    load_workers._bring(worker, str(tmp_path / "rows"), tmp_path / "home")
    assert (tmp_path / "home").read_bytes() == data


def test_a_host_that_is_away_at_the_end_does_not_spoil_what_was_measured(tmp_path: Path) -> None:
    plan, said = shared(PLAN, [_worker(tmp_path)], 20008), list[str]()
    load_workers._clear(LoadWorker(_worker(tmp_path).spec, Away(), str(tmp_path)), plan, said.append)
    [line] = said
    assert line.startswith("[load-2] what made load there is not cleared away: ")
    assert "no answer to python3" in line
