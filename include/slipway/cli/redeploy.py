"""A redeploy from anywhere: one run through the REST API of an Airflow, followed to its verdict."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from slipway.embedded import AirflowClient, Login, open_client
from slipway.errors import AirflowRefused, RunExists, SpecError
from slipway.spec import DeployOverrides

URL, USER, PASSWORD, TOKEN = (f"SLIPWAY_AIRFLOW_{name}" for name in ("URL", "USER", "PASSWORD", "TOKEN"))
"""Variables of the environment. The password and the token have no option: a command line is seen by others."""

ARGUMENT = "serve.args."
BENCHMARK = "benchmark."

FAILED, WORSE, UNJUDGED, INVALID = 1, 3, 4, 5
EXIT_CODES = {
    "better": 0,
    "same": 0,
    "worse": WORSE,
    "not enough history": UNJUDGED,
    "not comparable": UNJUDGED,
    "invalid": INVALID,
}
"""By the verdict, with --wait. A run that failed is 1 unless its verdict is worse."""


def redeploy(arguments: argparse.Namespace) -> int:
    """Trigger <name>.deploy over Airflow's REST API, and with --wait exit by its verdict.

    0: better or same (without --wait: triggered). 1: it failed, or was refused. 3: worse. 4: there is no history to
    compare with. 5: invalid. Airflow is that of SLIPWAY_AIRFLOW_URL, with SLIPWAY_AIRFLOW_USER and
    SLIPWAY_AIRFLOW_PASSWORD, or SLIPWAY_AIRFLOW_TOKEN.
    """
    dag_id = f"{arguments.deployment}.deploy"
    run_id = arguments.run_id or f"redeploy-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}"
    conf = parse_conf(arguments.set, arguments.reason)
    with open_client(_login(arguments), elsewhere=True) as client:
        _begin(client, dag_id, run_id, conf)
        if not arguments.wait:
            return 0
        state = client.wait(dag_id, run_id)
        return _told(state, _recorded(client, dag_id, run_id))


def parse_conf(settings: Sequence[str], reason: str) -> dict[str, Any]:
    """``serve.args.NAME=VALUE`` and ``benchmark.KEY=VALUE`` as the conf of a deploy. Values are JSON, else text."""
    conf: dict[str, Any] = {"reason": reason} if reason else {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        name = key.removeprefix(BENCHMARK)
        if not equals:
            raise SpecError(f"--set {setting}: no value", hint="--set serve.args.max-num-seqs=256")
        if key.startswith(ARGUMENT):
            conf.setdefault("serve_args", {})[key.removeprefix(ARGUMENT)] = _value(text)
        elif key.startswith(BENCHMARK) and name in _benchmark_keys():
            conf[name] = _value(text)
        else:
            known = ", ".join([f"{ARGUMENT}NAME", *(f"{BENCHMARK}{each}" for each in _benchmark_keys())])
            raise SpecError(f"--set {key}: a run cannot change it", hint=f"one of {known}; the rest is in the file")
    return conf


def _benchmark_keys() -> list[str]:
    return [name for name in DeployOverrides.model_fields if name not in ("serve_args", "reason")]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _login(arguments: argparse.Namespace) -> Login:
    url, user = arguments.url or os.environ.get(URL, ""), arguments.user or os.environ.get(USER, "")
    password, token = os.environ.get(PASSWORD, ""), os.environ.get(TOKEN, "")
    if not url or not (token or (user and password)):
        hint = f"set {URL}, and {TOKEN} or {USER} with {PASSWORD}"
        raise SpecError("where Airflow is, or who asks, is not said", hint=hint)
    return Login(url.rstrip("/"), user, password, token)


def _begin(client: AirflowClient, dag_id: str, run_id: str, conf: Mapping[str, Any]) -> None:
    """Start the run. One that is there already under this id is the run that was meant."""
    if client.dag(dag_id).paused:
        raise AirflowRefused(409, f"{dag_id} is paused: a run would wait for ever", hint="unpause the DAG in Airflow")
    try:
        client.trigger(dag_id, run_id, conf)
        sys.stdout.write(f"{dag_id}, run {run_id}: triggered\n")
    except RunExists:
        sys.stdout.write(f"{dag_id}, run {run_id}: it is there already, nothing new was started\n")


def _recorded(client: AirflowClient, dag_id: str, run_id: str) -> Mapping[str, Any]:
    """Empty where the run was refused before it left anything."""
    try:
        return client.recorded(dag_id, run_id)
    except AirflowRefused as error:
        if error.status != 404:
            raise
        return {}


def _told(state: str, recorded: Mapping[str, Any]) -> int:
    verdict = recorded.get("verdict")
    where = f" (Slipway's run {recorded['id']})" if recorded else ""
    sys.stdout.write(f"{state}{where}\n")
    if verdict:
        sys.stdout.write(f"verdict: {verdict} ({recorded['verdict_reason']})\n")
    if state != "success":
        return WORSE if verdict == "worse" else FAILED
    return EXIT_CODES.get(str(verdict), FAILED)
