"""The main job, for real: Airflow, Ray, vLLM, a small model, Locust, a database. One test builds on another."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from testbed.project import ROOT

STAGES = ["preflight", "environment", "weights", "ray_cluster", "network"]
STAGES += ["serve", "ready", "smoke", "benchmark", "verdict", "promote"]

SHORT = {"users": [1], "seconds": 5}
FEWER = {"max-num-seqs": 8}
ALWAYS_LONDON = "{# whatever was asked #}<|im_start|>user\nSay: London.<|im_end|>\n<|im_start|>assistant\n"


def test_one_command_deploys_checks_measures_and_records(project):
    done = project.slipway("up", str(project.file))
    assert done.returncode == 0, done.stdout + done.stderr
    for shown in ("verdict: success", "Verdict: ", "password", "curl -s", "rehearsal"):
        assert shown in done.stdout, shown


def test_every_stage_is_recorded(project):
    run = project.last_run()
    stages = project.store().stages(run.id)
    assert (run.state, run.job, run.rehearsal) == ("success", "deploy", True)
    assert run.verdict in ("not enough history", "invalid")  # so few cores for the server and its load
    assert {stage.name for stage in stages} == set(STAGES)
    assert all(stage.state == "success" and stage.seconds for stage in stages)
    assert {name for name, actions in project.acting().items() if actions} == {"weights", "ray_cluster", "serve"}


def test_the_snapshot_says_what_ran_where(project):
    snapshot = project.last_run().snapshot
    versions = snapshot["versions"]
    assert (versions["vllm"], versions["ray"], versions["torch"]) == ("0.32.0", "2.60.0", "2.13.0+cpu")
    assert snapshot["hosts"]["here"]["cpus"] > 0
    assert len(snapshot["model"]["digest"]) == 64


def test_smoke_asked_and_was_answered(project):
    checks = {check.name: check for check in project.store().smoke(project.last_run().id)}
    assert set(checks) == {"models", "completion", "chat", "stream", "question"}
    assert all(check.passed for check in checks.values())
    assert "Paris" in checks["question"].detail
    assert "Paris" in project.ask("What is the capital of France?")


def test_each_level_is_a_cell_with_true_figures(project):
    cells = {cell.measurement.users: cell.measurement for cell in project.store().cells(project.last_run().id)}
    assert set(cells) == {1, 4}
    for cell in cells.values():
        assert cell.errors == {}
        assert cell.output_tokens == 32 * cell.requests
        assert cell.server["prefix_cache_hits"] / cell.server["prefix_cache_queries"] < 0.5
        assert 0 < cell.ttft.p50 < cell.e2e.p50
        assert 0 < cell.tpot.p50 < 1
    assert cells[4].output_tokens_per_s > cells[1].output_tokens_per_s


def test_a_second_run_does_nothing_again(project):
    before = {name: state.started_at for name, state in project.served().items()}
    with project.probing() as asked:
        done = project.slipway("up", str(project.file))
    assert done.returncode == 0, done.stdout + done.stderr
    assert asked.failed == 0
    assert "Nothing differs from revision" in project.slipway("results").stdout
    assert not any(project.acting().values())
    assert {name: state.started_at for name, state in project.served().items()} == before
    assert len(project.store().runs("e2e")) == 2


def test_an_unknown_key_of_the_conf_is_refused(project):
    done = project.slipway("up", str(project.file), "--conf", '{"user": [1]}')
    assert done.returncode == 1
    assert "conf: user: unknown key, did you mean 'users'?" in done.stdout
    assert len(project.store().runs("e2e")) == 2


def test_a_good_change_is_promoted_once_a_person_agrees_and_its_downtime_is_measured(project):
    before, text = project.store().promoted("e2e"), project.file.read_text()
    ray = project.served()["e2e.ray-head"]
    project.file.write_text(f"{text}\nredeploy: {{promote: manual}}\n")
    conf = json.dumps(SHORT | {"serve_args": FEWER})
    with project.probing() as asked, ThreadPoolExecutor(1) as pool:
        up = pool.submit(project.slipway, "up", str(project.file), "--conf", conf)
        project.decide("Approve")
        done = up.result()
    project.file.write_text(text)
    assert done.returncode == 0, done.stdout + done.stderr
    run, promoted = project.last_run(), project.store().promoted("e2e")
    assert (promoted.revision_id, promoted.run_id) == (run.revision_id, run.id)
    assert promoted.revision_id != before.revision_id
    assert {name: actions for name, actions in project.acting().items() if actions} == {"serve": 2}
    assert project.served()["e2e.ray-head"].started_at == ray.started_at
    assert asked.failed > 0
    assert asked.outage_s - 5 < run.snapshot["downtime_s"] < asked.outage_s + 30  # the drain and each look count too
    shown = project.slipway("results").stdout
    for said in ("serve.args.max-num-seqs: 16 -> 8", "For it serve may act", "Downtime: "):
        assert said in shown


def test_an_argument_that_vllm_refuses_stops_nothing(project):
    before = project.served()
    with project.probing() as asked:
        done = project.slipway("up", str(project.file), "--conf", '{"serve_args": {"max-model-len": "many"}}')
    assert done.returncode == 1
    assert "vLLM's own parser refuses" in done.stdout
    assert "still serves, nothing had to be put back: all 5 smoke checks passed" in done.stdout
    assert asked.failed == 0
    assert project.last_run().state == "failed"
    assert {name: state.started_at for name, state in project.served().items()} == {
        name: state.started_at for name, state in before.items()
    }
    assert "Paris" in project.ask("What is the capital of France?")


@pytest.mark.slow
def test_one_that_answers_wrongly_gives_way_to_the_last_good_one(project):
    good = project.store().promoted("e2e")
    wrong = {"serve_args": FEWER | {"chat-template": ALWAYS_LONDON}}
    with project.probing() as asked:
        done = project.slipway("up", str(project.file), "--conf", json.dumps(SHORT | wrong))
    assert done.returncode == 1
    for said in ("the server answers, but not as it must", f"revision {good.revision_id} was put back", "smoke checks"):
        assert said in done.stdout, done.stdout
    run = project.last_run()
    assert run.state == "failed"
    stages = {stage.name: stage.state for stage in project.store().stages(run.id)}
    assert (stages["smoke"], stages["restore"]) == ("failed", "success")
    assert "benchmark" not in stages
    assert project.store().promoted("e2e") == good
    assert project.store().current("e2e").revision_id == good.revision_id
    assert "Paris" in project.ask("What is the capital of France?")
    assert 0 < run.snapshot["downtime_s"] <= asked.outage_s + 10


def test_the_model_is_served_while_airflow_is_gone_and_measured_after(project):
    for state in project.airflow_parts().values():
        project.kill(state)
    assert project.airflow_parts() == {}
    assert "Paris" in project.ask("What is the capital of France?")
    done = project.slipway("up", str(project.file), "--job", "benchmark", "--conf", '{"users": [2], "seconds": 8}')
    assert done.returncode == 0, done.stdout + done.stderr
    [cell] = project.store().cells(project.last_run().id)
    assert cell.measurement.users == 2
    assert cell.measurement.requests > 0


def test_the_transcript_of_the_api_is_true(project):
    page = (ROOT / "docs" / "api.md").read_text()
    script = "\necho ---\n".join(re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    said = re.findall(r"^```text\n(.*?)\n```$", page, re.MULTILINE | re.DOTALL)
    login = project.login()
    own = {"AIRFLOW": login.url, "DAG": "e2e.benchmark", "AIRFLOW_USER": login.user, "AIRFLOW_PASSWORD": login.password}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answers = done.stdout.split("---\n")
    assert len(answers) == len(said) > 5
    for answer, wanted in zip(answers, said, strict=True):
        assert re.fullmatch(".*".join(map(re.escape, wanted.split("…"))), answer.strip()), answer


def test_a_redeploy_from_elsewhere_exits_by_the_verdict(project, monkeypatch):
    login = project.login()
    for name, value in (("URL", login.url), ("USER", login.user), ("PASSWORD", login.password)):
        monkeypatch.setenv(f"SLIPWAY_AIRFLOW_{name}", value)
    refused = project.slipway("redeploy", "e2e", "--set", "benchmark.seconds=0")
    assert (refused.returncode, "param seconds" in refused.stderr) == (1, True), refused.stderr
    first = project.store().runs("e2e", 100)[-1]
    again = project.slipway("redeploy", "e2e", "--run-id", first.dag_run_id, "--wait")
    assert f"verdict: {first.verdict} ({first.verdict_reason})" in again.stdout, again.stderr
    assert again.returncode == {"not enough history": 4, "invalid": 5}[first.verdict]


def test_no_secret_of_ray_is_shown_anywhere(project):
    root = project.folder / ".slipway"
    token = (root / "host" / "deployments" / "e2e" / "ray.token").read_text().strip()
    assert len(token) == 64
    own = root / "host" / "deployments"
    holding = [path for path in root.rglob("*") if own not in path.parents and _holds(path, token.encode())]
    assert holding == []


def _holds(path, secret: bytes) -> bool:
    if not path.is_file() or path.is_symlink() or "environments" in path.parts or path.suffix == ".safetensors":
        return False
    return secret in path.read_bytes()


def test_a_killed_server_comes_back_and_leaves_no_engine_behind(project):
    before = project.served()["e2e.vllm"]
    os.kill(before.session, signal.SIGKILL)
    after = project.wait_for("e2e.vllm", lambda state: state.state == "ready" and state.session != before.session)
    assert [restart["signal"] for restart in after.restarts] == [signal.SIGKILL]
    assert "Paris" in project.ask("What is the capital of France?")
    assert project.processes(before.session) == []


def test_the_teardown_dag_stops_what_is_served(project):
    done = project.slipway("up", str(project.file), "--job", "teardown")
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.served() == {}
    assert project.store().current("e2e") is None
    again = project.slipway("up", str(project.file), "--job", "benchmark")
    assert again.returncode == 1
    assert "nothing is deployed" in again.stdout


def test_down_leaves_nothing(project):
    done = project.slipway("down")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[here] no role of e2e is left" in done.stdout
    assert "no part of Airflow runs" in done.stdout
    assert project.airflow_parts() == {}
    assert project.served() == {}
    with pytest.raises(OSError, match="refused"):
        project.ask("Still there?")
