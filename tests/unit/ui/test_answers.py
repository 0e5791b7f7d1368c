"""Records as answers: every figure, exactly, and nothing that is not named."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from testbed.measured import UNEVEN, uneven

from slipway.results import Distribution, Measurement, Validity
from slipway.store import Cell, Current, Deployment, Restart, Run, SmokeCheck, Stage
from slipway.ui.answers import CellAnswer, deployments_answer, runs_answer, whole_run_answer

MOMENT = datetime(2026, 11, 23, 10, 30, 0, 123456, tzinfo=UTC)
RUN = Run(
    id=7,
    deployment="demo",
    revision_id="0123456789ab",
    job="deploy",
    dag_id="demo.deploy",
    dag_run_id="r1",
    state="success",
    reason="new driver",
    conf={"serve_args": {"seed": 7}},
    started_at=MOMENT,
    ended_at=None,
    snapshot={"versions": {"ray": "2.60.0"}, "hosts": {"head": {"token": "canary"}}},
    verdict="same",
    verdict_reason="within 5 %",
    rehearsal=True,
)
MEASURED = uneven(
    tpot=replace(UNEVEN, mean=0.03),
    validity=Validity.SUSPECT,
    client={"cpu_share": 0.12},
    server={"generation_tokens": 40_961.0},
)
CELL = Cell(3, 7, "demo", "0123456789ab", MEASURED, "/canary/users-8", 2)
STAGE = Stage(1, 7, "serve", -1, 1, "failed", MOMENT, None, 2.5, 4, {"url": "http://me:canary@h"}, "no answer")
CHECK = SmokeCheck("chat", False, "wrong answer", 0.5, {"answer": {"text": "Lyon"}, "api_key": "canary"})


RESTART = Restart("one", "demo.vllm", datetime(2026, 11, 24, 8, tzinfo=UTC), "wedged", "the engine hangs")


@pytest.fixture
def whole() -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(whole_run_answer(RUN, [STAGE], [CHECK], [CELL], [RESTART]).model_dump_json())
    return answer


def test_a_cell_answers_every_field_of_a_measurement() -> None:
    assert {field.name for field in fields(Measurement)} <= set(CellAnswer.model_fields)


def test_every_figure_is_exact(whole: dict[str, Any]) -> None:
    cell = whole["cells"][0]
    assert (cell["requests_per_s"], cell["output_tokens"], cell["window_s"]) == (3.5555555555555554, 2**40, 180.000_001)
    assert Distribution(**cell["ttft"]) == UNEVEN
    assert (cell["tpot"]["mean"], cell["itl"], cell["errors"]) == (0.03, None, {"timeout": 2})
    assert (cell["validity"], cell["reasons"], cell["server"]) == (
        "suspect",
        ["little load"],
        {"generation_tokens": 40_961.0},
    )
    assert cell["started_at"] == "2025-10-09T08:53:20.123456Z"
    assert (cell["id"], cell["revision_id"], cell["try_number"]) == (3, "0123456789ab", 2)
    assert cell["folder"] == "users-8"


def test_stages_and_checks_are_whole(whole: dict[str, Any]) -> None:
    stage, check = whole["stages"][0], whole["smoke"][0]
    assert (stage["name"], stage["state"], stage["seconds"], stage["actions"]) == ("serve", "failed", 2.5, 4)
    assert (stage["started_at"], stage["ended_at"]) == ("2026-11-23T10:30:00.123456Z", None)
    assert stage["error"] == "no answer"
    assert (check["passed"], check["detail"], check["transcript"]["answer"]) == (
        False,
        "wrong answer",
        {"text": "Lyon"},
    )


def test_restarts_have_their_cause(whole: dict[str, Any]) -> None:
    [restart] = whole["restarts"]
    assert (restart["host"], restart["at"], restart["cause"]) == ("one", "2026-11-24T08:00:00Z", "wedged")


def test_what_is_not_named_does_not_leave(whole: dict[str, Any]) -> None:
    assert "canary" not in json.dumps(whole)
    assert "conf" not in whole["run"]
    assert whole["snapshot"] == {"versions": {"ray": "2.60.0"}, "hosts": {"head": {"token": "***"}}}


@pytest.mark.parametrize("rehearsal", [True, False])
def test_a_rehearsal_is_marked_in_every_answer(rehearsal: bool) -> None:
    run = replace(RUN, rehearsal=rehearsal)
    whole = whole_run_answer(run, [], [], [CELL])
    deployment = deployments_answer([Deployment("demo", rehearsal, None, run, None)]).deployments[0]
    marks = [whole.run, whole.cells[0], runs_answer([run]).runs[0], deployment, deployment.last_run]
    assert [marked.rehearsal for marked in marks] == [rehearsal] * 5


def test_a_deployment_says_what_runs_where_since_when() -> None:
    current = Current("demo", "0123456789ab", 7, "http://10.0.0.1:8000", MOMENT, "serving")
    answer = deployments_answer([Deployment("demo", True, current, RUN, RUN)])
    (deployment,) = json.loads(answer.model_dump_json())["deployments"]
    assert deployment["current"] == {
        "revision_id": "0123456789ab",
        "run_id": 7,
        "endpoint": "http://10.0.0.1:8000",
        "since": "2026-11-23T10:30:00.123456Z",
        "state": "serving",
    }
    assert (deployment["last_judged"]["verdict"], deployment["last_judged"]["verdict_reason"]) == ("same", "within 5 %")
