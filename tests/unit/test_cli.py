from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from slipway.cli import main
from slipway.cli.preflight import show_preflight
from slipway.cli.results import show_benchmark, show_failure, show_leases, show_restarts, show_starts
from slipway.results.preflight import Check, State
from slipway.spec import load_deployment
from slipway.store import Lease, Restart, Run, RunStart, Start, open_store
from slipway.store import schema as store_schema

ROOT = Path(__file__).parents[2]
DEMO = str(ROOT / "include" / "deployments" / "demo.yaml")
REFERENCE = str(ROOT / "include" / "deployments" / "deepseek-r1.yaml")


def test_check_finds_nothing_wrong_with_the_shipped_files(capsys):
    assert main(["check", DEMO, REFERENCE]) == 0
    said = capsys.readouterr().out
    assert "demo.yaml: nothing wrong: 1 host, 1 GPUs" in said
    assert "deepseek-r1.yaml: nothing wrong: 2 hosts, 16 GPUs" in said


def test_check_names_each_wrong_argument(tmp_path, capsys):
    folder = tmp_path / "include" / "deployments"
    folder.mkdir(parents=True)
    (folder.parent / "environments").symlink_to(ROOT / "include" / "environments")
    file = folder / "demo.yaml"
    file.write_text(Path(DEMO).read_text().replace("max-num-seqs: 16", "swap-space: 4\n    max-model-length: 7"))
    assert main(["check", str(file)]) == 1
    said = capsys.readouterr().err
    assert "serve.args.swap-space: vLLM 0.32.0 has no --swap-space: removed" in said
    assert "serve.args.max-model-length: vLLM 0.32.0 has no --max-model-length, did you mean --max-model-len?" in said


def test_a_wrong_file_is_an_error_and_no_traceback(tmp_path, capsys):
    (tmp_path / "x.yaml").write_text("version: 1\n")
    assert main(["plan", str(tmp_path / "x.yaml")]) == 1
    said = capsys.readouterr().err
    assert "name: Field required" in said
    assert "Traceback" not in said


def test_plan_prints_every_command_and_no_secret(capsys):
    assert main(["plan", REFERENCE]) == 0
    said = capsys.readouterr().out
    for shown in ("# ray_cluster on node-74: join the cluster", "--pipeline-parallel-size=2", "agent start <<'EOF'"):
        assert shown in said
    assert "********" in said


@pytest.fixture
def running(tmp_path, monkeypatch):
    """A store by which the demo runs as its file says, but for one argument; answers that revision."""
    url = f"sqlite:///{tmp_path}/slipway.db"
    monkeypatch.setenv("AIRFLOW__SLIPWAY__STORE_URL", url)
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    store_schema.upgrade(url)
    spec = load_deployment(Path(DEMO))
    args = {**spec.serve.args, "max-num-seqs": 4}
    older = spec.model_copy(update={"serve": spec.serve.model_copy(update={"args": args})})
    with open_store(url) as store:
        revision = store.save_revision(older, (ROOT / "include" / "environments" / "cpu.txt").read_text())
        run = store.begin_run(RunStart("demo", "deploy", "demo.deploy", "r1", revision))
        store.add_snapshot(run, {"difference": {"from": None}})
        store.set_current(run, revision, spec.endpoint)
    return revision


def test_diff_says_what_differs_from_what_runs(running, capsys):
    assert main(["diff", DEMO]) == 0
    assert capsys.readouterr().out == (
        f"Changed from revision {running}, which runs:\n"
        "  serve.args.max-num-seqs: 4 -> 16\n"
        "For it serve may act: the server is stopped and started\n"
    )


def test_diff_of_what_does_not_run_is_a_first_deploy(running, capsys):
    assert main(["diff", REFERENCE]) == 0
    assert capsys.readouterr().out == "Nothing runs yet: a first deploy\n"


def test_results_say_what_the_last_deploy_was(running, capsys):
    assert main(["results"]) == 0
    assert "Run 1 of demo:\nNothing runs yet: a first deploy" in capsys.readouterr().out


def test_schema_is_json(capsys):
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "DeploymentSpec"


@pytest.mark.parametrize("conf", ["{", "[]", "1"])
def test_a_conf_that_is_no_object_is_refused_before_anything_starts(conf, monkeypatch, capsys):
    monkeypatch.setattr("slipway.cli.runs.airflow_up", lambda *_: pytest.fail("Airflow was started"))
    assert main(["up", DEMO, "--conf", conf]) == 1
    assert "--conf: not" in capsys.readouterr().err


def test_the_networks_figure_stands_below_the_cells():
    figure = {"backend": "gloo", "ranks": 2, "over": "sockets", "small_bytes": 8, "small_s": 6e-4}
    figure |= {"large_bytes": 4 << 20, "large_s": 2e-3, "algbw": 2e9, "busbw": 2e9, "transports": []}
    console = Console(record=True, width=120)
    known = dict.fromkeys(field.name for field in fields(Run))
    show_benchmark(console, Run(**known | {"snapshot": {"network": figure}}), [])
    assert "Network: 2 ranks, gloo over sockets: 4 MiB all-reduce 2.00 GB/s busbw" in console.export_text()
    show_benchmark(console, Run(**known | {"snapshot": {}}), [])
    assert "Network" not in console.export_text()


CHECKS = [
    Check("one", "disk", State.OK, "80 GiB free"),
    Check("two", "clock", State.WARN, "5 s away", "set up chrony"),
]


@pytest.mark.parametrize(
    ("job", "state", "whole"),
    [("preflight", "success", True), ("deploy", "failed", True), ("deploy", "success", False)],
)
def test_a_preflight_shows_its_verdict_and_what_is_to_be_looked_at(job, state, whole):
    console = Console(record=True, width=120)
    known = dict.fromkeys(field.name for field in fields(Run))
    show_preflight(console, Run(**known | {"id": 7, "deployment": "pair", "job": job, "state": state}), CHECKS)
    first, *lines = console.export_text().splitlines()
    assert first == "Preflight of pair, run 7: fit: 2 hosts, 2 checks, 1 warning"
    rows = [line.split() for line in lines]
    assert ["two", "clock", "warn", "5", "s", "away;", "next:", "set", "up", "chrony"] in rows
    assert (["one", "disk", "ok", "80", "GiB", "free"] in rows) is whole


def test_who_holds_a_host_is_one_line():
    console = Console(record=True, width=120)
    until = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    show_leases(console, [Lease("10.0.0.1", "demo", 7, "deploy (serve)", until)])
    assert console.export_text() == (
        "10.0.0.1 is held by run 7 of demo, deploy (serve), until 03:04:05 UTC unless prolonged\n"
    )


def test_the_last_start_is_shown_with_its_phases_and_the_times_before_it():
    console = Console(record=True, width=120)
    phases = ({"name": "process", "began_s": 0.0, "seconds": 13.78}, {"name": "ray", "began_s": 13.78, "seconds": 7.0})
    starts = [
        Start(run, "demo", "r", True, 1.0, seconds, phases) for run, seconds in ((9, 20.78), (7, 21.5), (5, 19.9))
    ]
    show_starts(console, starts)
    assert console.export_text() == (
        "Start of demo (rehearsal), run 9: 20.8 s to ready: process 13.8, ray 7.0\n  before that 21.5, 19.9 s\n"
    )
    show_starts(console, [])
    assert console.export_text() == ""


def test_a_restart_is_shown_with_its_cause():
    console = Console(record=True, width=120)
    at = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
    show_restarts(console, "demo", [Restart("one", "demo.vllm", at, "worker-died", "exit code 0")])
    said = "demo was started again on one at 2026-11-24 08:00:00 UTC: worker-died (exit code 0)\n"
    assert console.export_text() == said


def test_diagnose_names_the_cause_in_log_files(tmp_path, capsys):
    (tmp_path / "one.log").write_text("all is well\n")
    (tmp_path / "two.log").write_text("(APIServer pid=7) OSError: [Errno 98] Address already in use\n")
    assert main(["diagnose", str(tmp_path / "one.log"), str(tmp_path / "two.log")]) == 0
    said = capsys.readouterr().out
    assert said.startswith("cause: the server's port is taken\n")
    assert f"{tmp_path}/two.log, APIServer: OSError" in said
    assert main(["diagnose", str(tmp_path / "one.log")]) == 1
    assert "cause: unknown" in capsys.readouterr().out
    assert main(["diagnose", str(tmp_path / "none.log")]) == 1
    assert "none.log: No such file" in capsys.readouterr().err


def test_results_say_why_the_newest_run_failed():
    found = {
        "id": "port-busy",
        "cause": "the server's port is taken",
        "host": "one",
        "log": "demo.vllm.log",
        "role": "",
    }
    found |= {"line": "OSError: [Errno 98]", "advice": "end what listens there", "key": "serve.port"}
    kept = {"diagnosis": {**found, "stage": "ready", "evidence": "/artifacts/run-7/evidence-ready-1"}}
    known = dict.fromkeys(field.name for field in fields(Run))
    failed = Run(**known | {"id": 7, "state": "failed", "snapshot": kept})
    console = Console(record=True, width=120)
    show_failure(console, [Run(**known | {"id": 8, "state": "success", "snapshot": kept}), failed])
    show_failure(console, [])
    assert console.export_text() == ""
    show_failure(console, [failed])
    assert console.export_text().splitlines() == [
        "Run 7 failed at ready. cause: the server's port is taken",
        "  [one] demo.vllm.log: OSError: [Errno 98]",
        "  next: end what listens there (in the deployment file: serve.port)",
        "  evidence: /artifacts/run-7/evidence-ready-1",
    ]


def test_results_are_saved_to_a_file_and_put_back(running, tmp_path, monkeypatch, capsys):
    saved = str(tmp_path / "results.slipway")
    assert main(["db", "backup", saved]) == 0
    assert "1 run" in capsys.readouterr().out
    assert main(["db", "restore", saved]) == 1
    assert "--force replaces them" in capsys.readouterr().err
    assert main(["db", "restore", saved, "--force"]) == 0
    assert "1 run" in capsys.readouterr().out


def test_a_sweep_is_shown_as_it_stands(tmp_path, monkeypatch, capsys):
    from slipway.spec import SweepOverrides, parse_overrides
    from slipway.store import State, SweepPoint

    url = f"sqlite:///{tmp_path}/slipway.db"
    store_schema.upgrade(url)
    monkeypatch.setenv("AIRFLOW__SLIPWAY__STORE_URL", url)
    assert main(["sweep", "demo"]) == 1
    assert "demo: no sweep has run" in capsys.readouterr().err
    conf = {"grid": {"serve.backend": ["ray", "mp"]}}
    spec, _ = parse_overrides(conf, load_deployment(Path(DEMO)), SweepOverrides)
    with open_store(url) as store:
        revision = store.save_revision(spec)
        run = store.begin_run(RunStart("demo", "sweep", "demo.sweep", "s1", revision, rehearsal=True))
        store.begin_sweep(
            run, [SweepPoint(run, n, f"backend={b}", {}, [(1, 0)], b) for n, b in ((1, "ray"), (2, "mp"))]
        )
        store.note_point(run, 2, State.FAILED, "ready: no completion")
    assert main(["sweep", "demo"]) == 0
    said = capsys.readouterr().out
    assert "run 1 (running, rehearsal on CPU: no figure for a GPU): 2 points, 0 of 2 cells measured, 1 point" in said
    assert "point 2 failed: ready: no completion" in said
    assert main(["sweep", "demo", "--run", "7"]) == 1
    assert "run 7 is no sweep" in capsys.readouterr().err
