"""The smoke judge, held against answers that a real vLLM gave (tests/data/vllm-0.32.0)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slipway.errors import SmokeFailed
from slipway.spec import load_deployment
from slipway.stages import smoke

ROOT = Path(__file__).parents[3]
GIVEN = json.loads((ROOT / "tests/data/vllm-0.32.0/smoke.json").read_text())
REFUSED, UNREACHABLE = json.loads((ROOT / "tests/data/vllm-0.32.0/refused.json").read_text())


@pytest.fixture(scope="module")
def spec():
    return load_deployment(ROOT / "include/deployments/demo.yaml")


def judged(spec, name, answer):
    return smoke.judged(spec, name, smoke.requests(spec)[name], answer)


def test_everything_is_asked(spec):
    assert list(smoke.requests(spec)) == ["models", "completion", "chat", "stream", "question"]
    without = spec.model_copy(update={"smoke": spec.smoke.model_copy(update={"question": None})})
    assert "question" not in smoke.requests(without)


@pytest.mark.parametrize("name", GIVEN)
def test_real_answers_pass(spec, name):
    result = judged(spec, name, GIVEN[name])
    assert result.passed, result.detail
    assert result.transcript["answer"]["status"] == 200


def test_the_question_needs_its_answer(spec):
    assert "Paris" in judged(spec, "question", GIVEN["question"]).detail
    wrong = {**GIVEN["question"], "body": GIVEN["question"]["body"].replace("Paris", "Rome")}
    assert not judged(spec, "question", wrong).passed


def test_another_model_is_served(spec):
    other = {**GIVEN["models"], "body": GIVEN["models"]["body"].replace("smollm2", "other")}
    assert not judged(spec, "models", other).passed


@pytest.mark.parametrize("name", ["completion", "chat", "question", "stream"])
def test_faults_are_said(spec, name):
    assert "404" in judged(spec, name, REFUSED).detail
    assert "does not exist" in judged(spec, name, REFUSED).detail
    assert "refused" in judged(spec, name, UNREACHABLE).detail
    empty = judged(spec, name, {**GIVEN["models"], "events": []})
    assert not empty.passed
    assert "not the shape of this API" in empty.detail


@pytest.mark.parametrize("change", ["drop_done", "drop_usage", "one_event", "broken_json"])
def test_a_stream_must_be_whole(spec, change):
    events = GIVEN["stream"]["events"]
    changed = {
        "drop_done": events[:-1],
        "drop_usage": [*events[:-2], events[-1]],
        "one_event": events[-2:],
        "broken_json": [{**events[0], "data": "{"}, *events[1:]],
    }[change]
    assert not judged(spec, "stream", {**GIVEN["stream"], "events": changed}).passed


def test_more_tokens_than_asked_for_fail(spec):
    body = json.loads(GIVEN["chat"]["body"])
    body["usage"]["completion_tokens"] = 65
    assert not judged(spec, "chat", {**GIVEN["chat"], "body": json.dumps(body)}).passed


def test_an_empty_answer_fails(spec):
    body = json.loads(GIVEN["chat"]["body"])
    body["choices"][0]["message"]["content"] = " "
    assert not judged(spec, "chat", {**GIVEN["chat"], "body": json.dumps(body)}).passed


def test_a_model_that_only_reasons_has_answered(spec):
    body = json.loads(GIVEN["chat"]["body"])
    body["choices"][0]["message"] |= {"content": None, "reasoning": "Let me think."}
    assert judged(spec, "chat", {**GIVEN["chat"], "body": json.dumps(body)}).passed


def test_failed_checks_are_named_together(spec):
    results = [judged(spec, name, REFUSED) for name in ("chat", "stream")]
    with pytest.raises(SmokeFailed) as caught:
        smoke.require_passed(results)
    assert "chat: status 404" in str(caught.value)
    assert "stream: status 404" in str(caught.value)
    smoke.require_passed([judged(spec, name, GIVEN[name]) for name in GIVEN])
