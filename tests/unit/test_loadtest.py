"""``slipway loadtest`` with a measured service that is made up: which loads it tries, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slipway.cli import loadtest, main
from slipway.loadgen.plan import LoadPlan
from slipway.results import Distribution, Goodput, Measurement, Validity
from slipway.stages.benchmark import LoadHost

FILE = """
version: 1
name: near
hosts: [{name: here, address: 127.0.0.2}]
environment: {lock: cpu}
weights: {source: /models/m, name: m}
serve: {model_name: m}
benchmark:
  levels: [{users: 2, spawn_rate: 3, processes: 2}, {users: 5}]
  seconds: 7
"""
SPREAD = Distribution(10, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1)


def _measurement(plan: LoadPlan, share: float) -> Measurement:
    return Measurement(
        users=plan.users,
        rate=plan.rate,
        spawn_rate=plan.spawn_rate,
        processes=plan.processes,
        started_at=0.0,
        window_s=plan.seconds,
        requests=10,
        errors={},
        prompt_tokens=1,
        output_tokens=1,
        requests_per_s=10.0,
        output_tokens_per_s=100.0,
        ttft=SPREAD,
        itl=SPREAD,
        tpot=SPREAD,
        e2e=SPREAD,
        validity=Validity.VALID,
        goodput=Goodput(plan.slo.limits, 10, share, 10 * share) if plan.slo.limits else None,
    )


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[LoadPlan]:
    """Every plan that was carried out, by a service that keeps its limits up to 21 users, or 3.3 requests a second."""
    seen: list[LoadPlan] = []

    def measured(load: Any, plan: LoadPlan, say: Callable[[str], None], **_: Any) -> Measurement:
        seen.append(plan)
        return _measurement(plan, 0.96 if plan.users <= 21 and plan.rate <= 3.3 else 0.94)

    monkeypatch.setattr("slipway.cli.loadtest.measure_load", measured)
    return seen


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., str]:
    def write(more: str = "") -> str:
        path = tmp_path / "near.yaml"
        path.write_text(FILE + more)
        return str(path)

    return write


def test_the_levels_of_the_file_are_measured_as_it_says(plans: list[LoadPlan], file: Callable[..., str]) -> None:
    assert main(["loadtest", file()]) == 0
    assert [(each.users, each.spawn_rate, each.processes, each.seconds) for each in plans] == [
        (2, 3.0, 2, 7.0),
        (5, 10.0, 1, 7.0),
    ]
    assert len({each.folder for each in plans}) == 2


def test_the_command_line_has_the_last_word(plans: list[LoadPlan], file: Callable[..., str]) -> None:
    assert main(["loadtest", file(), "--users", "2", "50", "--seconds", "3", "--processes", "4"]) == 0
    assert [(each.users, each.spawn_rate, each.processes, each.seconds) for each in plans] == [
        (2, 3.0, 4, 3.0),
        (50, 10.0, 4, 3.0),
    ]
    assert main(["loadtest", file(), "--rate", "2.5", "--arrivals", "constant"]) == 0
    assert (plans[-1].users, plans[-1].rate, plans[-1].arrivals) == (0, 2.5, "constant")


@pytest.mark.parametrize(
    ("asked", "answer"),
    [([], "21 users"), (["--users", "100"], "21 users"), (["--rate", "2"], "3.2 req/s"), (["--rate", "50"], "0 req/s")],
)
def test_the_search(
    plans: list[LoadPlan], file: Callable[..., str], capsys: pytest.CaptureFixture[str], asked: list[str], answer: str
) -> None:
    code = main(["loadtest", file("  slo: {ttft_s: 0.5}\n"), "--search", *asked])
    said = capsys.readouterr().out
    assert code == 0
    if answer == "0 req/s":
        assert "No load that was tried keeps the limits." in said
    else:
        assert f"The highest load that keeps them: {answer}, goodput 9.60 req/s" in said
    assert len({(each.users, each.rate) for each in plans}) == len(plans)


def test_levels_may_be_rates(plans: list[LoadPlan], file: Callable[..., str]) -> None:
    path = Path(file("  arrivals: constant\n"))
    path.write_text(path.read_text().replace("{users: 5}", "{rate: 2.5, processes: 3}"))
    assert main(["loadtest", str(path)]) == 0
    asked = [(each.users, each.rate, each.processes, each.arrivals) for each in plans]
    assert asked == [(2, 0.0, 2, "constant"), (0, 2.5, 3, "constant")]


def test_a_search_without_limits_is_refused(
    plans: list[LoadPlan], file: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["loadtest", file(), "--search"]) == 1
    assert "give benchmark.slo" in capsys.readouterr().err
    assert plans == []


def test_a_server_that_asks_for_a_key_has_it_from_the_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keys: list[str] = []

    def measured(load: LoadHost, plan: LoadPlan, say: Callable[[str], None], **_: Any) -> Measurement:
        keys.append(load.api_key)
        return _measurement(plan, 1.0)

    monkeypatch.setattr("slipway.cli.loadtest.measure_load", measured)
    file = tmp_path / "near.yaml"
    file.write_text(FILE.replace("{model_name: m}", "{model_name: m, api_key_connection: near_key}"))
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    assert main(["loadtest", str(file), "--users", "2"]) == 1
    assert "export VLLM_API_KEY" in capsys.readouterr().err
    monkeypatch.setenv("VLLM_API_KEY", "canary-canary")
    assert main(["loadtest", str(file), "--users", "2"]) == 0
    assert keys == ["canary-canary"]
    assert "canary" not in capsys.readouterr().out


def test_the_machines_of_the_file_make_load_as_well(
    monkeypatch: pytest.MonkeyPatch, plans: list[LoadPlan], file: Callable[..., str]
) -> None:
    loads: list[LoadHost] = []
    measured = loadtest.measure_load

    def seen(load: LoadHost, plan: LoadPlan, say: Callable[[str], None], **more: Any) -> Measurement:
        loads.append(load)
        return measured(load, plan, say, **more)

    monkeypatch.setattr(loadtest, "measure_load", seen)
    assert (
        main(["loadtest", file("  workers: [{name: load-2, address: 127.0.0.1, processes: 3}]\n"), "--users", "4"]) == 0
    )
    [load] = loads
    [worker] = load.workers
    assert (worker.spec.name, worker.spec.processes, worker.host.name) == ("load-2", 3, "load-2")
    assert (worker.root, load.master_port) == ("/var/lib/slipway", 20008)
