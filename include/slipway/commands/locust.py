"""Locust's own command line, for one cell of a load test; and the job that prepares the cell and runs it."""

from __future__ import annotations

import hashlib
from importlib.resources import files as package_files
from pathlib import Path

from slipway.commands.agent import Role
from slipway.results.plan import PLAN_FILE, LoadPlan
from slipway.shell import Command

REPORT_FILE = "report.html"
"""Locust's own report, in the folder of its cell."""

ARRIVE_S = 60.0
"""How long the load processes of a cell may take to reach the one that conducts it."""

SPARE_S = 120.0
"""How much longer than its plan a cell may take: imports, the fork of its processes, their last reports."""


def cell(python: str, plan: LoadPlan, web_port: int | None = None) -> Role:
    """The job of one cell: write the plan and make its prompts, then run Locust. The cell's folder names it."""
    run = command(python, plan_path(plan), plan, web_port)
    return Role(name=name(plan), steps=(prepare(python, plan), run), again=True)


def cell_in_parts(python: str, plan: LoadPlan, web_port: int | None = None) -> tuple[Role, Role]:
    """The same as two jobs, one after the other: between them other hosts are given the plan and its prompts."""
    first, second = cell(python, plan, web_port).steps
    return Role(name=name(plan), steps=(first,), again=True), Role(name=name(plan), steps=(second,), again=True)


def name(plan: LoadPlan) -> str:
    return f"load.{hashlib.sha256(plan.folder.encode()).hexdigest()[:8]}"


def prepare(python: str, plan: LoadPlan) -> Command:
    """Put the plan into its folder, and prompts beside it where the plan names none."""
    argv = (python, "-m", "slipway.loadgen.prepare")
    return Command(argv, env=_env(), stdin=plan.to_json().encode(), timeout_s=600)


def command(python: str, path: str, plan: LoadPlan, web_port: int | None = None) -> Command:
    """Locust with the plan that stands in ``path``. It ends by itself, with 0 although requests failed.

    With a ``web_port`` its own page is there while it runs, on this machine alone.
    """
    web = ("--web-host", "127.0.0.1", "--web-port", str(web_port), "--autostart")
    argv = (
        *(python, "-m", "locust", "-f", str(package_files("slipway").joinpath("loadgen", "locustfile.py"))),
        *(web if web_port else ("--headless",)),
        *("--only-summary", "--loglevel", "WARNING", "--html", REPORT_FILE),
        *("--users", str(plan.locust_users)),
        *("--spawn-rate", f"{plan.spawn_rate if plan.users else plan.processes:g}"),
        *(_processes(plan) if plan.processes > 1 else ()),
        *("--load-plan", path),
    )
    return Command(argv, env=_env(), cwd=plan.folder, timeout_s=plan.longest_s + SPARE_S)


def worker(python: str, package: str, locustfile: str, plan: LoadPlan) -> Role:
    """The load processes of another host, for its copy of the plan; they end with the process that conducts the cell.

    ``package`` is where Slipway lies there, ``locustfile`` what Locust is told to load.
    """
    argv = (
        *(python, "-m", "locust", "-f", locustfile, "--worker", "--loglevel", "WARNING"),
        *("--processes", str(plan.workers[plan.host]), *_master(plan, "--master"), "--load-plan", plan_path(plan)),
    )
    steps = (Command(argv, env={"PYTHONPATH": package}, cwd=plan.folder),)
    return Role(name=Path(plan.folder).name, steps=steps, again=True)


def _processes(plan: LoadPlan) -> tuple[str, ...]:
    """Those of this machine, and how long all of them are waited for."""
    away = (*_master(plan, "--master-bind"), *_master(plan, "--master")) if plan.master else ()
    return ("--processes", str(plan.own_processes), "--expect-workers-max-wait", f"{ARRIVE_S:g}", *away)


def _master(plan: LoadPlan, flag: str) -> tuple[str, ...]:
    host, port = plan.master or ("", 0)
    return (f"{flag}-host", host, f"{flag}-port", str(port))


def plan_path(plan: LoadPlan) -> str:
    return str(Path(plan.folder, PLAN_FILE))


def _env() -> dict[str, str]:
    """Slipway itself must be found by the interpreter that runs Locust."""
    return {"PYTHONPATH": str(Path(str(package_files("slipway"))).parent)}
