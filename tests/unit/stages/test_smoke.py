"""The smoke judge, held against answers that a real vLLM gave (tests/data/vllm-0.32.0)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slipway.errors import SmokeFailed
from slipway.hosts import LocalHost
from slipway.spec import load_deployment
from slipway.stages import accuracy, smoke
from slipway.stages.site import Site

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


def said(text: str, status: int = 200):
    body = json.dumps({"choices": [{"message": {"content": text}}]})
    return {"status": status, "body": body, "seconds": 0.5}


class TestAccuracy:
    def test_the_questions_are_few_and_each_knows_its_answer(self):
        assert 20 <= len(accuracy.questions()) <= 30
        assert all(
            known.expect and accuracy.right(known, f"It is {known.expect[0]}.") for known in accuracy.questions()
        )
        assert len({known.ask for known in accuracy.questions()}) == len(accuracy.questions())

    @pytest.mark.parametrize(
        ("text", "right"),
        [("7 + 5 = 12.", True), ("Twelve", True), ("It is 120", False), ("12.5", False), ("112", False), ("", False)],
    )
    def test_an_answer_is_words_of_its_own(self, text, right):
        assert accuracy.right(accuracy.Known("What is 7 + 5?", ("12", "twelve")), text) is right

    def test_the_score_is_held_against_the_floor(self):
        given = [said(known.expect[0]) for known in accuracy.questions()]
        given[:6] = [said("I do not know.")] * 5 + [said("Paris", status=500)]
        result, score = smoke.marked(given, 0.75)
        assert (result.passed, score, result.seconds) == (True, 0.75, 12.0)
        assert result.detail == "18 of 24 questions answered rightly, 75% are wanted"
        assert [row["right"] for row in result.transcript["answers"]].count(False) == 6
        assert not smoke.marked(given, 0.76)[0].passed

    def test_what_is_no_answer_is_not_right(self):
        for wrong in (UNREACHABLE, {**said(""), "body": "<html>"}, {**said(""), "body": "{}"}):
            result, score = smoke.marked([wrong] * len(accuracy.questions()), 0.01)
            assert (result.passed, score) == (False, 0.0)


class TestTheGate:
    @pytest.fixture
    def asked(self, monkeypatch):
        """Every request that the stage makes; the real server's answers, and "Paris" to every question of the set."""
        asked = []

        def answers(_host, _spec, requests):
            asked.extend(requests)
            known = list(GIVEN.values())
            return known if len(requests) == len(known) else [said("Paris")] * len(requests)

        monkeypatch.setattr(smoke, "answers", answers)
        return asked

    def converge(self, spec, floor):
        gated = spec.model_copy(update={"verdict": spec.verdict.model_copy(update={"accuracy_floor": floor})})
        return smoke.converge(Site(gated, {"here": LocalHost("here")}, say=lambda _: None)).detail

    def test_it_is_asked_only_where_the_file_wants_it(self, spec, asked):
        assert "accuracy" not in self.converge(spec, None)
        assert len(asked) == 5

    def test_below_the_floor_a_check_fails(self, spec, asked):
        detail = self.converge(spec, 0.5)
        assert detail["accuracy"] == 1 / 24
        assert [result.name for result in detail["checks"] if not result.passed] == ["accuracy"]
        assert len(asked) == 5 + 24
        assert self.converge(spec, 0.04)["checks"][-1].passed

    def test_a_server_that_answers_wrongly_is_asked_no_more(self, spec, asked, monkeypatch):
        monkeypatch.setattr(smoke, "answers", lambda *_: [UNREACHABLE] * 5)
        assert "accuracy" not in self.converge(spec, 0.5)
