"""Subcommands that run a deployment through the embedded Airflow of this project, and stop it again."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from slipway.cli.preflight import preflight_checks, show_preflight
from slipway.cli.results import open_results, show_benchmark
from slipway.cli.sweep import sweep_lines
from slipway.embedded import (
    Login,
    Settings,
    follow,
    load_settings,
    open_client,
    ready_dag,
    require_alive,
    sources_changed_at,
)
from slipway.embedded import down as airflow_down
from slipway.embedded import up as airflow_up
from slipway.errors import SpecError
from slipway.hosts import LocalHost
from slipway.spec import DeploymentSpec, DeployOverrides, load_deployment, parse_overrides
from slipway.spec.load import project_folder
from slipway.spec.serving import KEY_VARIABLE

Say = Callable[[str], None]


def up(arguments: argparse.Namespace) -> int:
    """Start Airflow where it does not run, run a deployment's job through its REST API, and show how it ends.

    Airflow and the served model stay up; ``slipway down`` stops both.
    """
    console = Console()
    spec, conf = load_deployment(arguments.file), _conf(arguments.conf)
    settings = load_settings(project_folder(arguments.file))
    login = airflow_up(settings, _say(console))
    dag_id = f"{spec.name}.{arguments.job}"
    run_id = f"slipway-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    with open_client(login) as client:
        ready_dag(client, dag_id, sources_changed_at(settings))
        client.trigger(dag_id, run_id, conf)
        _say(console)(f"{dag_id}, run {run_id}")
        shown = _progress(_as_run(spec, conf))
        alive = partial(require_alive, settings)
        outcome = follow(client, dag_id, run_id, console=console, progress=shown, look=alive)
    _show(console, settings, dag_id, run_id)
    _show_where(_say(console), login, spec, serves=outcome.ok and arguments.job in ("deploy", "benchmark"))
    return 0 if outcome.ok else 1


def down(_: argparse.Namespace) -> int:
    """Stop what this project has deployed on this machine, then its Airflow; show that nothing is left."""
    say = _say(Console())
    settings = load_settings(Path.cwd())
    if (settings.home / "airflow.db").exists():
        os.environ["AIRFLOW_HOME"] = str(settings.home)
        _tear_down_local(say)
    airflow_down(settings, say)
    return 0


def _conf(text: str) -> dict[str, Any]:
    try:
        conf = json.loads(text)
    except ValueError as error:
        raise SpecError(f"--conf: not JSON: {error}", hint="""--conf '{"seconds": 30}'""") from error
    if not isinstance(conf, dict):
        raise SpecError("--conf: not a JSON object", hint="""--conf '{"seconds": 30}'""")
    return conf


def _as_run(spec: DeploymentSpec, conf: dict[str, Any]) -> DeploymentSpec:
    """The file with the conf applied; a conf that cannot be applied is refused by the run's first task."""
    try:
        return parse_overrides(conf, spec, DeployOverrides)[0]
    except SpecError:
        return spec


def _progress(spec: DeploymentSpec) -> Callable[[str, int], tuple[float, str] | None]:
    """How far a load level is: by its planned length, from the moment that it was first seen to run."""
    benchmark, began = spec.benchmark, dict[int, float]()

    def progress(task_id: str, map_index: int) -> tuple[float, str] | None:
        if task_id != "benchmark" or not 0 <= map_index < len(benchmark.levels):
            return None
        level = benchmark.levels[map_index]
        window_s = sum(step.seconds for step in level.steps) or benchmark.seconds
        once_s = (level.peak / level.spawn_rate if level.closed else 0.0) + benchmark.warmup_s + window_s
        planned_s = once_s * benchmark.repeats
        elapsed_s = time.monotonic() - began.setdefault(map_index, time.monotonic())
        return min(elapsed_s / planned_s, 0.99), level.load

    return progress


def _show(console: Console, settings: Settings, dag_id: str, run_id: str) -> None:
    os.environ["AIRFLOW_HOME"] = str(settings.home)
    with open_results() as store:
        run = store.run(dag_id, run_id)
        cells = store.cells(run.id) if run else []
        checks = preflight_checks(store, run) if run else []
        lines = list(sweep_lines(store, run)) if run and run.job == "sweep" else []
    if lines:
        _say(console)("\n".join(lines))
    if run and checks:
        show_preflight(console, run, checks)
    if run and cells:
        show_benchmark(console, run, cells)


def _show_where(say: Say, login: Login, spec: DeploymentSpec, *, serves: bool) -> None:
    say(f"Airflow:  {login.url}  user {login.user}, password {login.password}")
    say(f"Results:  slipway results {spec.name}")
    if serves:
        asked = {"role": "user", "content": "What is the capital of France?"}
        body = json.dumps({"model": spec.serve.model_name, "messages": [asked]})
        say(f"Endpoint: {spec.entrance}/v1  model {spec.serve.model_name}")
        key = f' -H "Authorization: Bearer ${KEY_VARIABLE}"' if spec.serve.api_key_connection else ""
        header = f"-H 'Content-Type: application/json'{key}"
        say(f"          curl -s {spec.entrance}/v1/chat/completions {header} -d '{body}'")
        say("Stop:     make down")


def _say(console: Console) -> Say:
    """Lines as they are: what stands in brackets is a host, no markup."""
    return partial(console.print, markup=False, highlight=False, soft_wrap=True)


def _tear_down_local(say: Say) -> None:
    """Tear down every deployment whose hosts are all this machine, Airflow running or not; name the others."""
    from slipway.hooks.hosts import LOCAL, open_site
    from slipway.hooks.settings import artifacts_folder
    from slipway.stages import teardown

    with open_results() as store:
        for name, revision_id in store.latest_revisions().items():
            spec = store.spec(revision_id)
            if any(host.connection != LOCAL for host in spec.machines):
                say(f"{name}: left alone, its hosts are elsewhere; trigger {name}.teardown to stop it")
                continue
            with open_site(spec, store.lock(revision_id), say) as site:
                teardown.converge(site)
                teardown.stop_all(site.head, spec.root, say)
            store.clear_current(name)
    teardown.stop_all(LocalHost("load"), str(artifacts_folder()), say)
