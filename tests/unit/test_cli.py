from __future__ import annotations

import json
from pathlib import Path

import pytest

from slipway.cli import main

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


def test_schema_is_json(capsys):
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "DeploymentSpec"


@pytest.mark.parametrize("conf", ["{", "[]", "1"])
def test_a_conf_that_is_no_object_is_refused_before_anything_starts(conf, monkeypatch, capsys):
    monkeypatch.setattr("slipway.cli.runs.airflow_up", lambda *_: pytest.fail("Airflow was started"))
    assert main(["up", DEMO, "--conf", conf]) == 1
    assert "--conf: not" in capsys.readouterr().err
