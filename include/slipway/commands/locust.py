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

SPARE_S = 120.0
"""How much longer than its plan a cell may take: imports, the fork of its processes, their last reports."""


def cell(python: str, plan: LoadPlan, web_port: int | None = None) -> Role:
    """The job of one cell: write the plan and make its prompts, then run Locust. The cell's folder names it."""
    folder = hashlib.sha256(plan.folder.encode()).hexdigest()[:8]
    steps = (prepare(python, plan), command(python, plan_path(plan), plan, web_port))
    return Role(name=f"load.{folder}", steps=steps, again=True)


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
        *(("--processes", str(plan.processes), "--expect-workers-max-wait", "60") if plan.processes > 1 else ()),
        *("--load-plan", path),
    )
    return Command(argv, env=_env(), cwd=plan.folder, timeout_s=plan.longest_s + SPARE_S)


def plan_path(plan: LoadPlan) -> str:
    return str(Path(plan.folder, PLAN_FILE))


def _env() -> dict[str, str]:
    """Slipway itself must be found by the interpreter that runs Locust."""
    return {"PYTHONPATH": str(Path(str(package_files("slipway"))).parent)}
