"""`slipway weights` on this machine: the words that a person types, and what they do to a real model store."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path

import pytest

from slipway.cli import main
from slipway.hosts import LocalHost
from slipway.operators.lease import leased_hosts
from slipway.spec import load_deployment
from slipway.stages import weights
from slipway.stages.site import Site
from slipway.store import RunStart, open_store, schema

DEPLOYMENT = """
version: 1
name: tiny
root: root
hosts: [{name: here, address: 127.0.0.2}]
environment: {existing: /usr/bin/python3}
weights: {source: shared, name: tiny}
serve: {model_name: tiny}
benchmark: {levels: [{users: 1}]}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    url = f"sqlite:///{tmp_path}/results.db"
    schema.upgrade(url)
    monkeypatch.setenv("AIRFLOW__SLIPWAY__STORE_URL", url)
    shared, deployments = tmp_path / "shared", tmp_path / "include" / "deployments"
    for folder in (shared, deployments, tmp_path / "include" / "environments"):
        folder.mkdir(parents=True)
    header = json.dumps({"a": {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]}}).encode()
    (shared / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    (shared / "config.json").write_text('{"model_type": "llama"}')
    (shared / "tokenizer.json").write_text('{"version": "1.0"}')
    (deployments / "tiny.yaml").write_text(DEPLOYMENT)
    return deployments / "tiny.yaml"


def staged(file: Path) -> Path:
    site = Site(load_deployment(file), {"here": LocalHost("here")}, say=lambda _: None)
    site.prepare()
    return Path(weights.converge(site).detail["model"])


def test_list_verify_and_prune(file, capsys, tmp_path):
    assert main(["weights", "verify", str(file)]) == 1
    assert "[here] no version of tiny is staged" in capsys.readouterr().err
    oldest = staged(file)
    (tmp_path / "shared" / "config.json").write_text('{"model_type": "qwen2"}')
    first = staged(file)
    (tmp_path / "shared" / "config.json").write_text('{"model_type": "qwen3"}')
    second = staged(file)

    assert main(["weights", "list", str(file)]) == 0
    said = capsys.readouterr().out
    assert {first.name[:12] in said, second.name[:12] in said, "current" in said} == {True}
    assert main(["weights", "verify", str(file)]) == 0
    assert f"[here] {second.name[:12]}: 0.0 GiB in 3 files read" in capsys.readouterr().out

    with (second / "tokenizer.json").open("r+b") as shard:
        shard.write(b"x")
    assert main(["weights", "verify", str(file)]) == 1
    assert "[here]   tokenizer.json at byte 0: differs from the manifest" in capsys.readouterr().out
    assert main(["weights", "list", str(file)]) == 0
    assert "damaged" in capsys.readouterr().out

    agent = tmp_path / "root" / "agents" / "tiny.vllm"
    agent.mkdir(parents=True)
    (agent / "state.json").write_text(json.dumps({"argv": [f"--model={second}"]}))
    with (agent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert main(["weights", "prune", str(file)]) == 0
    assert capsys.readouterr().out == f"[here] removed: {oldest}\n"
    assert (first.exists(), second.exists()) == (True, True)
    assert main(["weights", "prune", str(file)]) == 0
    assert (first.exists(), second.exists()) == (False, True)


def test_nothing_is_pruned_while_a_run_holds_the_host(file, capsys, tmp_path):
    oldest = staged(file)
    for kind in ("qwen2", "qwen3"):
        (tmp_path / "shared" / "config.json").write_text(json.dumps({"model_type": kind}))
        staged(file)
    with open_store(f"sqlite:///{tmp_path}/results.db") as store:
        deploy = store.begin_run(RunStart("other", "deploy", "other.deploy", "r1"))
        store.take_lease(deploy, leased_hosts(load_deployment(file)), "deploy (weights)", 60)
        assert main(["weights", "prune", str(file)]) == 1
        assert "is held by run" in capsys.readouterr().err
        assert oldest.exists()
        store.release_lease(deploy)
        assert main(["weights", "prune", str(file)]) == 0
        assert not oldest.exists()
        assert store.leases() == []
        assert [(run.job, run.state) for run in store.runs("tiny")] == [("prune", "success"), ("prune", "failed")]


def test_the_manifest_is_taken_once_and_every_copy_is_held_against_it(file, capsys, tmp_path):
    for taken in ("taken in", "there already"):
        assert main(["weights", "manifest", str(file)]) == 0
        assert taken in capsys.readouterr().out
    digest = staged(file).name
    assert digest in (main(["weights", "manifest", str(file)]), capsys.readouterr().out)[1]
    assert (tmp_path / "shared" / "slipway-manifest.json").exists()
