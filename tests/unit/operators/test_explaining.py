"""A stage that failed on a real host: what is kept, what is said, and whether it is tried again."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException

from slipway.commands import agent, kit
from slipway.commands.agent import Role
from slipway.errors import NotConverged, ServerDied, StoreError
from slipway.hosts import LocalHost
from slipway.operators import explaining
from slipway.operators.recording import recorded
from slipway.operators.resolve import ResolveOperator
from slipway.shell import Command
from slipway.stages.site import prepare
from slipway.store import State, Store

PORT = "OSError: [Errno 98] Address already in use"


@pytest.fixture
def begun(store, make_context, tmp_path, monkeypatch):
    """A task's context in a run of the demo, with a root and a folder for artifacts of the test's own."""
    monkeypatch.setenv("AIRFLOW__SLIPWAY__ARTIFACTS_FOLDER", str(tmp_path / "artifacts"))
    whole = Store.spec
    root = str(tmp_path / "host")
    monkeypatch.setattr(Store, "spec", lambda self, revision: whole(self, revision).model_copy(update={"root": root}))
    context = make_context()
    ResolveOperator(task_id="resolve", deployment="demo", job="deploy").execute(context)
    prepare(LocalHost("here"), root)
    return context


def said(tmp_path, text: str) -> None:
    """The server has said this and has ended."""
    role = Role("demo.vllm", (Command(("sh", "-c", 'echo "$0"; exit 1', text)),), server=True)
    host, root = LocalHost("here"), str(tmp_path / "host")
    kit.reply(host.run(agent.start(root, role)))
    kit.reply(host.run(agent.wait(root, role.name, 10)))


def snapshot(store):
    return store.runs("demo")[0].snapshot


def test_a_failure_is_explained_where_people_look(store, begun, tmp_path, caplog):
    said(tmp_path, PORT)
    with caplog.at_level(logging.ERROR), pytest.raises(AirflowFailException) as shown, recorded(begun, "ready"):
        raise ServerDied("[here] vLLM ended: exit code 1")
    told = "cause: the server's port is taken"
    [stage] = store.stages(store.runs("demo")[0].id)
    for text in (str(shown.value), stage.error, caplog.records[-1].getMessage()):
        assert told in text
        assert f"[here] demo.vllm.log: {PORT}" in text
        assert "(in the deployment file: serve.port)" in text
    for found in (snapshot(store)["diagnosis"], stage.detail["diagnosis"]):
        assert (found["id"], found["kind"], found["stage"], found["host"]) == (
            "port-busy",
            "permanent",
            "ready",
            "here",
        )
    kept = Path(snapshot(store)["diagnosis"]["evidence"])
    assert kept.is_relative_to(tmp_path / "artifacts")
    assert PORT in (kept / "here" / "demo.vllm.log").read_text()
    assert kept.stat().st_mode & 0o077 == 0


def test_unknown_is_called_unknown_and_replaces_what_was_known(store, begun, tmp_path):
    said(tmp_path, PORT)
    for words, cause in (("x", "port-busy"), ("y", "unknown")):
        with pytest.raises(AirflowFailException, match=f"cause: (the server's port|{cause})"), recorded(begun, "ready"):
            raise ServerDied(words)
        assert snapshot(store)["diagnosis"]["id"] == cause
        said(tmp_path, "nobody knows this")
    assert snapshot(store)["diagnosis"]["line"] == ""


def test_a_cause_that_only_a_change_helps_is_not_tried_again(begun, tmp_path):
    with pytest.raises(NotConverged), recorded(begun, "ray_cluster"):
        raise NotConverged("[here] Ray does not answer")
    said(tmp_path, PORT)
    with pytest.raises(AirflowFailException, match="port is taken"), recorded(begun, "ray_cluster"):
        raise NotConverged("[here] Ray does not answer")


def test_a_server_that_had_ended_before_the_run_explains_only_what_needs_it(store, make_context, begun, tmp_path):
    said(tmp_path, PORT)
    store.finish_run(store.runs("demo")[0].id, State.FAILED)
    later = make_context(run_id="later")
    ResolveOperator(task_id="resolve", deployment="demo", job="deploy").execute(later)
    for stage, cause in (("ray_cluster", "unknown"), ("ready", "the server's port is taken")):
        with pytest.raises((NotConverged, AirflowFailException), match=f"cause: {cause}"), recorded(later, stage):
            raise NotConverged("[here] Ray does not answer")


@pytest.mark.parametrize(("stage", "error"), [("weights", ServerDied("x")), ("ready", StoreError("x"))])
def test_what_hosts_cannot_tell_of_is_not_asked(store, begun, monkeypatch, stage, error):
    monkeypatch.setattr(explaining, "_gathered", lambda recording, since: pytest.fail("asked"))
    with pytest.raises((AirflowFailException, StoreError)), recorded(begun, stage):
        raise error
    assert "diagnosis" not in snapshot(store)


def test_a_name_from_a_host_stays_below_the_hosts_folder(tmp_path):
    from slipway.facts.evidence import Bundle
    from slipway.stages.evidence import Evidence

    explaining._keep(Evidence({"here": Bundle("here", {"../../out": "x", "ray//a": "y"})}, {}), tmp_path / "kept")
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == [
        "kept/here/out",
        "kept/here/ray/a",
    ]


def test_a_full_disk_hides_no_failure(begun, tmp_path, monkeypatch, caplog):
    (tmp_path / "artifacts").write_text("in the way")
    said(tmp_path, PORT)
    with pytest.raises(AirflowFailException, match="port is taken"), recorded(begun, "ready"):
        raise ServerDied("x")
    assert "the evidence could not be kept" in caplog.text
