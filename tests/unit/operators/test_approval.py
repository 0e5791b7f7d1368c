"""A person's word: asked for what the verdict is not against, and a no is a refusal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskAwaitingInput

from slipway.operators.approval import ApproveOperator
from slipway.operators.resolve import ResolveOperator
from slipway.store import State


@dataclass(frozen=True)
class Asked:
    """What Airflow's required actions would show."""

    subject: str
    body: str
    options: list[str]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Asked]:
    kept: list[Asked] = []

    def keep(*, subject: str, body: str, options: list[str], **_: Any) -> None:
        kept.append(Asked(subject, body, options))

    monkeypatch.setattr("airflow.providers.standard.operators.hitl.upsert_hitl_detail", keep)
    return kept


@pytest.fixture
def served(store, make_context):
    """A deploy that serves, with a verdict."""
    context = make_context(conf={"serve_args": {"max-num-seqs": 8}})
    ResolveOperator(task_id="resolve", deployment="demo", job="deploy").execute(context)
    ids = context["ti"].xcoms["run"]
    store.set_current(ids["run_id"], ids["revision_id"], "http://127.0.0.1:28000")
    store.judge_run(ids["run_id"], "same", "within 5 %")
    context["ti"].id = "the task"
    return {**context, "task_instance": context["ti"]}


def approve() -> ApproveOperator:
    return ApproveOperator(task_id="approve", deployment="demo", within_s=60)


def answer(option: str) -> dict[str, Any]:
    by = {"id": "7", "name": "ada"}
    return {"chosen_options": [option], "params_input": {}, "responded_at": datetime.now(UTC), "responded_by_user": by}


def stage(store):
    return store.stages(store.runs("demo")[0].id)[-1]


def test_the_person_sees_what_is_to_be_decided(store, served, asked):
    with pytest.raises(TaskAwaitingInput) as waiting:
        approve().execute(served)
    assert waiting.value.timeout.total_seconds() == 60
    [question] = asked
    assert question.subject == "Promote the new revision of demo?"
    assert question.options == ["Approve", "Reject"]
    for said in (served["ti"].xcoms["run"]["revision_id"], "verdict **same**: within 5 %", "a first deploy"):
        assert said in question.body
    assert stage(store).state == State.RUNNING


def test_a_yes_lets_promote_come(store, served):
    approve().execute_complete(served, answer("Approve"))
    assert (stage(store).name, stage(store).state) == ("approve", State.SUCCESS)
    assert stage(store).detail == {"answer": ["Approve"], "by": "ada"}


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (answer("Reject"), "a person has rejected it"),
        ({"error": "late", "error_type": "timeout"}, "nobody has approved it in time"),
    ],
)
def test_a_no_and_no_answer_are_refusals_without_a_retry(store, served, event, said):
    with pytest.raises(AirflowFailException, match=said):
        approve().execute_complete(served, event)
    assert stage(store).state == State.FAILED
    assert store.runs("demo")[0].state == State.RUNNING


def test_what_does_not_run_any_more_is_not_asked_about(store, served, asked):
    store.clear_current("demo")
    with pytest.raises(AirflowFailException, match="does not run any more"):
        approve().execute(served)
    assert asked == []
