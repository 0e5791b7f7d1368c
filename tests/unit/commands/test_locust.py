from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slipway.commands import locust
from slipway.results.plan import LoadPlan, parse_load_plan

INCLUDE = Path(locust.__file__).parents[2]


def _plan(**changes: Any) -> LoadPlan:
    usual: dict[str, Any] = {"users": 10, "spawn_rate": 2.5, "seconds": 180.0, "warmup_s": 5.0, "folder": "/cells/1"}
    return LoadPlan(base_url="http://h:8000", model="m", **(usual | changes))


def test_the_whole_command_line() -> None:
    command = locust.command("/venv/bin/python", "/cells/1/plan.json", _plan())
    assert command.argv == (
        *("/venv/bin/python", "-m", "locust", "-f", str(INCLUDE / "slipway/loadgen/locustfile.py")),
        *("--headless", "--only-summary", "--loglevel", "WARNING", "--html", "report.html"),
        *("--users", "10", "--spawn-rate", "2.5"),
        *("--load-plan", "/cells/1/plan.json"),
    )
    assert Path(command.argv[4]).is_file()
    assert command.cwd == "/cells/1"
    assert command.env == {"PYTHONPATH": str(INCLUDE)}


def test_several_processes_are_forked_by_locust_and_waited_for() -> None:
    argv = locust.command("python", "/p", _plan(processes=8)).argv
    assert argv[argv.index("--processes") :][:4] == ("--processes", "8", "--expect-workers-max-wait", "60")
    assert "--processes" not in locust.command("python", "/p", _plan()).argv


def test_locusts_own_page_is_for_this_machine_alone() -> None:
    argv = locust.command("python", "/p", _plan(), web_port=8089).argv
    assert argv[5:10] == ("--web-host", "127.0.0.1", "--web-port", "8089", "--autostart")
    assert "--headless" not in argv


def test_an_open_loop_has_a_user_a_process_at_once() -> None:
    argv = locust.command("python", "/p", _plan(users=0, rate=12.5, processes=4)).argv
    assert argv[argv.index("--users") :][:4] == ("--users", "4", "--spawn-rate", "4")


def test_a_cell_may_take_as_long_as_its_parts() -> None:
    measured_s = 10 / 2.5 + 5 + 180
    assert locust.command("python", "/p", _plan()).timeout_s == measured_s + 30 + locust.SPARE_S
    assert locust.command("python", "/p", _plan(request_timeout_s=2.0)).timeout_s == measured_s + 2 + locust.SPARE_S


def test_the_job_of_a_cell_prepares_it_first() -> None:
    plan = _plan(api_key_env="A_KEY")
    role = locust.cell("python", plan)
    first, second = role.steps
    assert role.name.startswith("load.")
    assert role.name != locust.cell("python", _plan(folder="/cells/2")).name
    assert first.argv == ("python", "-m", "slipway.loadgen.prepare")
    assert parse_load_plan(first.stdin) == plan
    assert second == locust.command("python", "/cells/1/plan.json", plan)
    assert not role.server


def _shared() -> LoadPlan:
    return _plan(processes=6, workers={"load-2": 3, "load-3": 1}, master=("10.0.0.9", 20008))


def test_workers_are_waited_for_at_the_masters_address() -> None:
    argv = locust.command("python", "/p", _shared()).argv
    assert argv[argv.index("--processes") :] == (
        *("--processes", "2", "--expect-workers-max-wait", "60"),
        *("--master-bind-host", "10.0.0.9", "--master-bind-port", "20008"),
        *("--master-host", "10.0.0.9", "--master-port", "20008", "--load-plan", "/p"),
    )


def test_the_job_of_a_worker() -> None:
    copy = replace(_shared(), host="load-2", folder="/srv/loads/load.12.load-2")
    role = locust.worker("/env/bin/python", "/srv/kit/l.zip", "/srv/kit/l.py", copy)
    [step] = role.steps
    assert (role.name, role.again, role.server) == ("load.12.load-2", True, False)
    assert step.argv == (
        *("/env/bin/python", "-m", "locust", "-f", "/srv/kit/l.py", "--worker", "--loglevel", "WARNING"),
        *("--processes", "3", "--master-host", "10.0.0.9", "--master-port", "20008"),
        *("--load-plan", "/srv/loads/load.12.load-2/plan.json"),
    )
    assert (step.env, step.cwd) == ({"PYTHONPATH": "/srv/kit/l.zip"}, "/srv/loads/load.12.load-2")


def test_a_cell_in_parts_has_the_steps_of_the_whole_one() -> None:
    whole, parts = locust.cell("python", _shared()), locust.cell_in_parts("python", _shared())
    assert tuple(step for part in parts for step in part.steps) == whole.steps
    assert {part.name for part in parts} == {whole.name}


@pytest.mark.parametrize(
    "wrong",
    [
        {"processes": 2, "workers": {"load-2": 2}, "master": ("10.0.0.9", 20008)},
        {"processes": 2, "workers": {"load-2": 1}},
        {"processes": 2, "master": ("10.0.0.9", 20008)},
    ],
)
def test_workers_are_some_of_the_processes_and_need_a_master(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="are some of the `processes`"):
        _plan(**wrong)
    assert parse_load_plan(_shared().to_json()) == _shared()
