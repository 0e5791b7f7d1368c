"""The DAG files: they load, they only wire, and their forms say what a run may change."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "dags").glob("*.py"))

DEPLOY = {
    "resolve": {"preflight", "benchmark"},
    "preflight": {"environment", "weights"},
    "environment": {"ray_cluster", "restore"},
    "weights": {"ray_cluster", "restore"},
    "ray_cluster": {"network"},
    "network": {"serve"},
    "serve": {"ready"},
    "ready": {"smoke"},
    "smoke": {"benchmark"},
    "benchmark": {"verdict", "restore"},
    "verdict": {"promote"},
    "promote": {"restore"},
    "restore": set(),
}


@pytest.fixture(scope="module")
def dagbag():
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(ROOT / "dags")


def test_every_file_loads(dagbag):
    assert dagbag.import_errors == {}
    jobs = {"preflight", "deploy", "benchmark", "teardown"}
    assert set(dagbag.dags) == {f"{name}.{job}" for name in ("demo", "deepseek-r1") for job in jobs}


def test_the_deploy_dag_is_the_main_job(dagbag):
    dag = dagbag.dags["demo.deploy"]
    assert {task.task_id: set(task.downstream_task_ids) for task in dag.tasks} == DEPLOY
    assert dag.get_task("benchmark").is_mapped


def test_with_spare_hosts_traffic_moves_between_verdict_and_promotion(tmp_path, monkeypatch):
    from airflow.dag_processing.dagbag import DagBag

    text = (ROOT / "include" / "deployments" / "deepseek-r1.yaml").read_text()
    beside = """
redeploy: {swap: beside}
beside:
  hosts:
    - {name: spare-1, connection: spare_1, address: 10.1.4.82, gpus: 8}
    - {name: spare-2, connection: spare_2, address: 10.1.4.84, gpus: 8}
  router: {connection: door, address: 10.1.4.9, python: /opt/router/bin/python}
"""
    (tmp_path / "deepseek-r1.yaml").write_text(f"{text}{beside}")
    monkeypatch.setenv("AIRFLOW__SLIPWAY__DEPLOYMENTS_FOLDER", str(tmp_path))
    dagbag = DagBag(ROOT / "dags" / "deploy.py")
    assert dagbag.import_errors == {}
    dag = dagbag.dags["deepseek-r1.deploy"]
    wired = {task.task_id: set(task.downstream_task_ids) for task in dag.tasks}
    assert wired == {**DEPLOY, "verdict": {"traffic"}, "traffic": {"promote"}}
    assert "http://10.1.4.9:8090" in dag.doc_md


def test_a_file_with_points_has_a_sweep(tmp_path, monkeypatch):
    from airflow.dag_processing.dagbag import DagBag

    text = (ROOT / "include" / "deployments" / "demo.yaml").read_text()
    swept = "sweep: {grid: {serve.args.max-num-seqs: [2, 8]}, points: [{serve.backend: mp}]}"
    (tmp_path / "demo.yaml").write_text(f"{text}\n{swept}\n")
    monkeypatch.setenv("AIRFLOW__SLIPWAY__DEPLOYMENTS_FOLDER", str(tmp_path))
    dagbag = DagBag(ROOT / "dags" / "sweep.py")
    assert dagbag.import_errors == {}
    dag = dagbag.dags["demo.sweep"]
    assert {task.task_id: set(task.downstream_task_ids) for task in dag.tasks} == {
        "resolve": {"preflight", "point"},
        "preflight": {"point"},
        "point": {"report"},
        "report": {"restore"},
        "restore": set(),
    }
    tasks = {task.task_id: task for task in dag.tasks}
    assert tasks["point"].max_active_tis_per_dagrun == 1
    assert (tasks["report"].trigger_rule, tasks["restore"].trigger_rule) == ("all_done", "all_done")
    assert dag.params["grid"] == {"serve.args.max-num-seqs": [2, 8]}
    assert dag.params["points"] == [{"serve.backend": "mp"}]
    assert dag.params["again"] is False
    with pytest.raises(ValueError, match=r"serve\.host"):
        dag.params["grid"] = {"serve.host": ["x"]}


def test_a_watched_file_has_a_watch_that_runs_when_it_says(tmp_path, monkeypatch):
    from airflow.dag_processing.dagbag import DagBag
    from airflow.sdk import CronTriggerTimetable

    from slipway.operators.dag import schedule
    from slipway.spec import load_deployment

    text = (ROOT / "include" / "deployments" / "demo.yaml").read_text()
    (tmp_path / "demo.yaml").write_text(f'{text}\nwatch: {{schedule: "*/5 * * * *", restart: true}}\n')
    monkeypatch.setenv("AIRFLOW__SLIPWAY__DEPLOYMENTS_FOLDER", str(tmp_path))
    monkeypatch.setenv("AIRFLOW__SLIPWAY__NOTIFY_CONN", "people")
    dagbag = DagBag(ROOT / "dags" / "watch.py")
    assert dagbag.import_errors == {}
    dag = dagbag.dags["demo.watch"]
    [task] = dag.tasks
    assert (task.task_id, task.deployment, task.restart, task.retries) == ("liveness", "demo", True, 2)
    assert dag.has_on_failure_callback
    assert not dag.has_on_success_callback, "nobody is told of each look"
    assert (dag.max_active_runs, dag.catchup, dict(dag.params)) == (1, False, {})
    spec = load_deployment(tmp_path / "demo.yaml")
    assert schedule(spec, "watch") == CronTriggerTimetable("*/5 * * * *", timezone="UTC")


def test_restore_comes_last_and_decides_the_run(dagbag):
    """It waits for each task that may still be at work when another has failed, and is the only leaf."""
    tasks = {task.task_id: task for task in dagbag.dags["demo.deploy"].tasks}
    restore = tasks["restore"]
    assert restore.trigger_rule == "all_done"
    assert not restore.is_teardown
    assert restore.retries == 2
    assert [name for name, task in tasks.items() if not task.downstream_task_ids] == ["restore"]


def test_a_person_is_asked_where_the_file_says_so(tmp_path, monkeypatch):
    from airflow.dag_processing.dagbag import DagBag

    text = (ROOT / "include" / "deployments" / "demo.yaml").read_text()
    (tmp_path / "demo.yaml").write_text(f"{text}\nredeploy: {{promote: manual, approve_within_s: 3600}}\n")
    monkeypatch.setenv("AIRFLOW__SLIPWAY__DEPLOYMENTS_FOLDER", str(tmp_path))
    dagbag = DagBag(ROOT / "dags" / "deploy.py")
    assert dagbag.import_errors == {}
    dag = dagbag.dags["demo.deploy"]
    found = {task.task_id: set(task.downstream_task_ids) for task in dag.tasks}
    assert found == {**DEPLOY, "verdict": {"approve"}, "approve": {"promote"}}
    assert dag.get_task("approve").response_timeout.total_seconds() == 3600


def test_retries_where_they_can_help(dagbag):
    retries = {task.task_id: task.retries for task in dagbag.dags["demo.deploy"].tasks}
    assert {name for name, count in retries.items() if count == 0} == {"smoke"}


@pytest.mark.parametrize("job", ["preflight", "deploy", "benchmark", "teardown"])
def test_the_first_task_waits_an_hour_for_the_hosts(dagbag, job):
    resolve = dagbag.dags[f"demo.{job}"].get_task("resolve")
    assert resolve.retries * resolve.retry_delay.total_seconds() == 3600
    assert not resolve.retry_exponential_backoff


def test_the_preflight_dag_looks_and_ends(dagbag):
    dag = dagbag.dags["demo.preflight"]
    assert {task.task_id: set(task.downstream_task_ids) for task in dag.tasks} == {
        "resolve": {"preflight"},
        "preflight": set(),
    }
    assert dag.get_task("preflight").alone
    assert not dagbag.dags["demo.deploy"].get_task("preflight").alone
    assert set(dag.params) == {"reason"}


def test_the_preflight_dag_runs_by_itself_where_the_file_says_when():
    import pendulum
    from airflow.serialization.encoders import coerce_to_core_timetable
    from airflow.timetables.base import TimeRestriction

    from slipway.operators.dag import dag_arguments
    from slipway.spec import load_deployment

    spec = load_deployment(ROOT / "include" / "deployments" / "demo.yaml")
    assert dag_arguments(spec, "preflight", "")["schedule"] is None
    nightly = spec.preflight.model_copy(update={"schedule": "30 2 * * *", "timezone": "Europe/Berlin"})
    asked = spec.model_copy(update={"preflight": nightly})
    assert dag_arguments(asked, "deploy", "")["schedule"] is None
    arguments = dag_arguments(asked, "preflight", "")
    assert arguments["catchup"] is False
    timetable = coerce_to_core_timetable(arguments["schedule"])
    restriction = TimeRestriction(earliest=None, latest=None, catchup=False)
    planned = timetable.next_dagrun_info(last_automated_data_interval=None, restriction=restriction).run_after
    assert abs((planned - pendulum.now()).total_seconds()) <= 25 * 3600
    assert planned.in_timezone("Europe/Berlin").strftime("%H:%M") == "02:30"


@pytest.mark.parametrize("job", ["preflight", "deploy", "benchmark", "teardown"])
def test_each_dag_says_what_it_is(dagbag, job):
    dag = dagbag.dags[f"demo.{job}"]
    assert dag.max_active_runs == 1
    assert dag.schedule is None
    assert {"slipway", job, "demo", "rehearsal"} <= set(dag.tags)
    assert "Rehearsal" in dag.doc_md
    assert "127.0.0.1:28000" in dag.doc_md
    assert "rehearsal" not in dagbag.dags[f"deepseek-r1.{job}"].tags


def test_a_form_is_the_dags_alone(dagbag):
    """Airflow would keep a copy of it with each task, and copy it at every parse."""
    forms = [dag for dag in dagbag.dags.values() if dag.params]
    assert {dag.dag_id.rsplit(".", 1)[1] for dag in forms} == {"benchmark", "deploy", "preflight", "teardown"}
    assert [task for dag in dagbag.dags.values() for task in dag.tasks if task.params] == []


def test_the_form_is_prefilled_from_the_file(dagbag):
    params = dagbag.dags["deepseek-r1.deploy"].params
    assert (params["users"], params["rates"]) == ([10, 50, 100, 150], [])
    sizes = ("seconds", "prompt_tokens", "output_tokens")
    assert tuple(params[name] for name in sizes) == (180, 32, 64)
    assert set(params) == {"users", "rates", "shapes", *sizes, "serve_args", "revision", "reason"}


def test_the_form_has_types_bounds_and_help():
    from slipway.operators.form import form
    from slipway.spec import DeployOverrides, load_deployment

    params = form(DeployOverrides, load_deployment(ROOT / "include" / "deployments" / "demo.yaml"))
    for name, param in params.items():
        assert param.schema["type"] in {"array", "integer", "object", "string"}, name
        assert param.description, name
        assert "anyOf" not in json.dumps(param.schema), name
    assert params["seconds"].schema["minimum"] == 1
    assert params["users"].schema["items"] == {"type": "integer", "minimum": 1, "maximum": 100_000}


def test_the_form_refuses_what_the_conf_check_refuses(dagbag):
    from airflow.sdk.exceptions import ParamValidationError

    params = dagbag.dags["demo.deploy"].params
    with pytest.raises(ParamValidationError):
        params["seconds"] = 0
    with pytest.raises(ParamValidationError):
        params["users"] = "10"
    with pytest.raises(ParamValidationError):
        params["users"] = [0]
    for name in ("port", "middleware", "Port"):
        with pytest.raises(ParamValidationError, match=name):
            params["serve_args"] = {name: 1}
    params["serve_args"] = {"max-num-seqs": 4, "kv-transfer-config": {"kv_role": "kv_both"}}


def test_every_task_leads_to_the_pages_of_its_run_and_deployment(dagbag):
    from airflow.serialization.serialized_objects import DagSerialization

    for dag in dagbag.dags.values():
        tasks = DagSerialization.from_dict(DagSerialization.to_dict(dag)).tasks
        assert {task.task_id: task.extra_links for task in tasks} == {
            task.task_id: ["Slipway deployment", "Slipway run"] for task in dag.tasks
        }


def test_a_wrong_file_does_not_take_the_others_with_it(tmp_path, monkeypatch, caplog):
    from slipway.operators.dag import deployments

    (tmp_path / "broken.yaml").write_text("version: 1\nnam: x\n")
    good = (ROOT / "include" / "deployments" / "demo.yaml").read_text()
    (tmp_path / "demo.yaml").write_text(good)
    monkeypatch.setenv("AIRFLOW__SLIPWAY__DEPLOYMENTS_FOLDER", str(tmp_path))
    assert [spec.name for spec in deployments()] == ["demo"]
    assert "nam: unknown key, did you mean 'name'?" in caplog.text


def test_a_benchmark_runs_when_its_file_says(tmp_path):
    from airflow.sdk import CronTriggerTimetable

    from slipway.operators.dag import schedule
    from slipway.spec import parse_deployment

    text = (ROOT / "include" / "deployments" / "demo.yaml").read_text()
    nightly = text.replace("benchmark:\n", 'benchmark:\n  schedule: "30 2 * * *"\n  timezone: Europe/Berlin\n')
    spec = parse_deployment(nightly, origin="demo.yaml", base=tmp_path)
    assert schedule(spec, "benchmark") == CronTriggerTimetable("30 2 * * *", timezone="Europe/Berlin")
    assert schedule(spec, "deploy") is None


def test_a_promotion_and_each_benchmark_update_the_asset(dagbag):
    updating = {
        (dag_id, task.task_id): [each.uri for each in task.outlets]
        for dag_id, dag in dagbag.dags.items()
        for task in dag.tasks
        if task.outlets and dag_id.startswith("demo.")
    }
    uri = ["x-slipway://demo"]
    assert updating == {("demo.deploy", "promote"): uri, ("demo.benchmark", "verdict"): uri}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_files_only_wire(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 60
    tree = ast.parse(text)
    assert ast.get_docstring(tree)
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda)]
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert all(module == "airflow.sdk" or module.startswith("slipway.operators") for module in modules)


@pytest.mark.parametrize("job", ["deploy", "benchmark", "teardown"])
def test_where_places_are_few_the_run_that_came_furthest_goes_first(dagbag, job):
    """Airflow queues the heaviest tasks first; by its own default those are the first of each run."""
    tasks = dagbag.dags[f"demo.{job}"].tasks
    assert {str(task.weight_rule) for task in tasks} == {"upstream"}
    assert all(task.get_flat_relative_ids(upstream=True) for task in tasks if task.task_id != "resolve")


def test_pool_and_queue_are_those_of_the_file(tmp_path, monkeypatch):
    """Every task is of the pool; only those that make load are on the queue."""
    from airflow.dag_processing.dagbag import DagBag

    text = (ROOT / "include" / "deployments" / "demo.yaml").read_text()
    changed = text.replace("rehearsal: true\n", "rehearsal: true\npool: gpus\n", 1)
    (tmp_path / "demo.yaml").write_text(changed.replace("benchmark:\n", "benchmark:\n  queue: load\n", 1))
    monkeypatch.setenv("AIRFLOW__SLIPWAY__DEPLOYMENTS_FOLDER", str(tmp_path))
    found = DagBag(ROOT / "dags")
    for job in ("deploy", "benchmark", "teardown", "preflight"):
        tasks = found.dags[f"demo.{job}"].tasks
        assert {task.pool for task in tasks} == {"gpus"}
        assert {task.task_id for task in tasks if task.queue == "load"} <= {"benchmark"}
    assert found.dags["demo.deploy"].get_task("benchmark").queue == "load"
    assert found.dags["demo.benchmark"].get_task("benchmark").queue == "load"
