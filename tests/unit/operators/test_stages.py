"""What the stages keep beside their own row."""

from __future__ import annotations

from typing import ClassVar

import pytest

from slipway.errors import HostUnfit, NotConverged, SmokeFailed
from slipway.operators.recording import Recording
from slipway.operators.resolve import ResolveOperator
from slipway.operators.stages import (
    EnvironmentOperator,
    NetworkOperator,
    PreflightOperator,
    ReadyOperator,
    SmokeOperator,
    StageOperator,
    TeardownOperator,
    WeightsOperator,
)
from slipway.spec.judging import LmEvalSpec
from slipway.stages.site import Outcome, Site
from slipway.stages.smoke import SmokeResult
from slipway.store import State

FIGURE = {"backend": "nccl", "ranks": 16, "over": "IB", "busbw": 4e10}


@pytest.fixture
def begin(store, make_context):
    """Begins a run of a job, as its first task does; answers its record while a stage is kept."""

    def begin(job: str, dag_run_id: str) -> Recording:
        for earlier in store.runs("demo"):
            store.finish_run(earlier.id, State.SUCCESS)
        context = make_context(job=job, run_id=dag_run_id)
        ResolveOperator(task_id="resolve", deployment="demo", job=job).execute(context)
        [run] = [run for run in store.runs("demo") if run.dag_run_id == dag_run_id]
        return Recording(store, run.id, run.revision_id, store.spec(run.revision_id), store.lock(run.revision_id))

    return begin


def network(recording, detail) -> None:
    NetworkOperator(task_id="network").record(recording, Outcome(detail=detail))


def ready(recording) -> None:
    ReadyOperator(task_id="ready").record(recording, Outcome())


def kept(recording):
    return recording.store.run_by_id(recording.run_id).snapshot.get("network")


def test_the_figure_stands_beside_every_benchmark_that_follows(begin):
    deploy = begin("deploy", "one")
    network(deploy, FIGURE)
    ready(deploy)
    for dag_run_id in ("two", "three"):
        benchmark = begin("benchmark", dag_run_id)
        ready(benchmark)
        assert kept(benchmark) == FIGURE


def test_a_deploy_that_finds_its_server_keeps_the_last_figure(begin):
    first, second = begin("deploy", "one"), begin("deploy", "two")
    network(first, FIGURE)
    ready(first)
    network(second, {"kept": "the server runs on here and is left in peace"})
    assert kept(second) == FIGURE


def test_a_new_proof_replaces_the_figure_from_then_on(begin):
    first, second = begin("deploy", "one"), begin("deploy", "two")
    network(first, FIGURE)
    ready(first)
    network(second, {**FIGURE, "busbw": 1e10})
    second.store.set_current(second.run_id, second.revision_id, "http://x", state="starting")
    ready(second)
    assert kept(second)["busbw"] == 1e10
    assert kept(first)["busbw"] == 4e10


def test_a_proof_that_was_needless_says_why(begin):
    deploy = begin("deploy", "one")
    network(deploy, {"skipped": "no host gives a GPU"})
    assert kept(deploy) == {"skipped": "no host gives a GPU"}


def test_where_there_never_was_a_figure_there_is_none(begin):
    deploy = begin("deploy", "one")
    network(deploy, {"kept": "the server runs"})
    ready(deploy)
    assert kept(deploy) is None


def test_the_model_stands_with_each_benchmark(begin):
    deploy = begin("deploy", "one")
    WeightsOperator(task_id="weights").record(deploy, Outcome(detail={"digest": "d1", "bytes": 9}))
    ready(deploy)
    benchmark = begin("benchmark", "two")
    ready(benchmark)
    assert benchmark.store.run_by_id(benchmark.run_id).snapshot["model"] == {"digest": "d1", "bytes": 9}
    again = begin("deploy", "three")
    WeightsOperator(task_id="weights").record(again, Outcome(detail={"digest": "d2", "bytes": 9}))
    ready(again)
    assert again.store.run_by_id(again.run_id).snapshot["model"]["digest"] == "d2"


class TestMachines:
    FACTS: ClassVar = {"here": {"cpus": 2, "cpu_model": "AMD EPYC", "gpus": []}}

    def look(self, recording, facts=FACTS) -> None:
        PreflightOperator(task_id="preflight").record(recording, Outcome(detail={"hosts": facts}))

    def environment(self, recording) -> None:
        EnvironmentOperator(task_id="environment").record(recording, Outcome(detail={"versions": {"vllm": "0.32.0"}}))

    def snapshot(self, recording):
        return recording.store.run_by_id(recording.run_id).snapshot

    def test_a_benchmark_has_the_machines_that_its_deploy_found(self, begin):
        deploy = begin("deploy", "one")
        self.look(deploy)
        ready(deploy)
        benchmark = begin("benchmark", "two")
        self.environment(benchmark)
        kept = self.snapshot(benchmark)
        assert (kept["hosts"], kept["hardware"]) == (self.FACTS, "127.0.0.2: 2 x AMD EPYC")
        assert kept["versions"] == {"vllm": "0.32.0"}

    def test_a_deploy_has_those_that_it_found_itself(self, begin):
        first, second = begin("deploy", "one"), begin("deploy", "two")
        self.look(first)
        ready(first)
        self.look(second, {"here": {"cpus": 4, "cpu_model": "Xeon"}})
        self.environment(second)
        assert self.snapshot(second)["hardware"] == "127.0.0.2: 4 x Xeon"


def smoked(recording, *, passed: bool, **detail) -> None:
    checks = [SmokeResult("chat", passed, "7 tokens", 0.1, {})]
    SmokeOperator(task_id="smoke").record(recording, Outcome(detail={"checks": checks, **detail}))


def test_a_server_that_answers_wrongly_is_worse(begin):
    deploy = begin("deploy", "one")
    with pytest.raises(SmokeFailed):
        smoked(deploy, passed=False)
    run = deploy.store.run_by_id(deploy.run_id)
    assert (run.verdict, run.verdict_reason) == ("worse", "it answers wrongly: chat: 7 tokens")
    assert deploy.store.smoke(deploy.run_id)


def test_a_server_that_answers_rightly_is_not_judged_by_that(begin):
    deploy = begin("deploy", "one")
    smoked(deploy, passed=True, accuracy=0.75)
    assert deploy.store.run_by_id(deploy.run_id).verdict is None
    assert deploy.detail == {"passed": 1, "asked": 1, "accuracy": 0.75}


def teardown(recording, not_reached) -> None:
    detail = {"left": [], "stopped": ["one"], "not_reached": not_reached}
    TeardownOperator(task_id="teardown").record(recording, Outcome(1, detail))


def test_a_teardown_that_missed_a_host_is_not_the_end_of_the_run(begin):
    deploy = begin("deploy", "one")
    ready(deploy)
    run = begin("teardown", "two")
    with pytest.raises(NotConverged, match=r"not on two:\n\[two\] is not there"):
        teardown(run, {"two": "[two] is not there"})
    assert run.store.run_by_id(run.run_id).state == State.RUNNING
    assert run.store.current("demo") is not None
    teardown(run, {})
    assert run.store.run_by_id(run.run_id).state == State.SUCCESS
    assert run.store.current("demo") is None


def preflight(recording, state, *, alone) -> None:
    row = {"host": "one", "name": "disk", "state": state, "found": "1 GiB free", "next_step": "free space"}
    outcome = Outcome(detail={"verdict": "told", "checks": [row], "hosts": {"one": {"cpus": 2}}, "transient": False})
    recording.detail = dict(outcome.detail)
    PreflightOperator(task_id="preflight", alone=alone).record(recording, outcome)


def test_a_preflight_of_its_own_ends_its_run(begin):
    run, deploy = begin("preflight", "one"), begin("deploy", "two")
    preflight(run, "warn", alone=True)
    preflight(deploy, "ok", alone=False)
    assert run.store.run_by_id(run.run_id).state == State.SUCCESS
    assert run.store.run_by_id(deploy.run_id).state == State.RUNNING


def test_a_host_that_is_not_fit_keeps_its_table(begin):
    run = begin("preflight", "one")
    with pytest.raises(HostUnfit, match=r"^\[one\] not fit .*\n  \[one\] disk: 1 GiB free\n  next: free space"):
        preflight(run, "FAIL", alone=True)
    assert run.detail["checks"][0]["state"] == "FAIL"
    assert "hosts" not in run.detail
    assert run.store.run_by_id(run.run_id).snapshot["hosts"] == {"one": {"cpus": 2}}
    assert run.store.run_by_id(run.run_id).state == State.RUNNING


def test_two_stages_go_on_without_a_host():
    kinds = [kind for kind in StageOperator.__subclasses__() if kind.without_lost_hosts]
    assert kinds == [PreflightOperator, TeardownOperator]


class TestLmEval:
    """Its tasks are one more check, asked of a server that has passed all others."""

    @pytest.fixture
    def asked(self, begin, monkeypatch):
        """What the stage smoke comes to, with and without lm-eval in the file."""
        gate = LmEvalSpec(tasks=("capitals",), floor=0.6)
        deploy = begin("deploy", "one")
        with_gate = deploy.spec.verdict.model_copy(update={"lm_eval": gate})
        spec = deploy.spec.model_copy(update={"verdict": with_gate})
        score = SmokeResult("lm_eval", False, "acc: capitals 0.500 of 16; 0.6 is wanted", 9.0, {})
        monkeypatch.setattr("slipway.stages.evaluation.converge", lambda site, gate: score)

        def asked(*, passed: bool, gated: bool) -> list[str]:
            first = Outcome(0, {"checks": [SmokeResult("chat", passed, "7 tokens", 0.1, {})]})
            monkeypatch.setattr("slipway.stages.smoke.converge", lambda site: first)
            site = Site(spec if gated else deploy.spec, {})
            outcome = SmokeOperator(task_id="smoke").converge(site, deploy)
            return [check.name for check in outcome.detail["checks"]]

        return asked

    def test_it_is_asked_last_and_only_where_the_file_has_it(self, asked):
        assert asked(passed=True, gated=True) == ["chat", "lm_eval"]
        assert asked(passed=True, gated=False) == ["chat"]

    def test_a_server_that_answers_wrongly_already_is_not_asked(self, asked):
        assert asked(passed=False, gated=True) == ["chat"]
