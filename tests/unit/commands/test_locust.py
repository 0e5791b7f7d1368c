from __future__ import annotations

from pathlib import Path
from typing import Any

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
