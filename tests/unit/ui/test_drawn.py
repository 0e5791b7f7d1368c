"""What the page draws: cards, revisions with what they changed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

from testbed.measured import point

from slipway.store import Current, Deployment, Point, Revision, Run
from slipway.ui.drawn import card, points_answer, revisions_answer

MOMENT = datetime(2026, 11, 23, 10, 30, tzinfo=UTC)
SPEC = {
    "hosts": [{"name": "head", "address": "10.0.0.1", "gpus": 8}],
    "serve": {"model_name": "small", "backend": "ray", "env": {"HF_TOKEN": "canary-1"}},
    "ray": {"dashboard_host": "0.0.0.0", "ports": {"dashboard": 8265}},
}
REVISION = Revision("0123456789ab", "demo", MOMENT, True, "w", "lock-1", SPEC)
RUN = Run(7, "demo", REVISION.id, "deploy", "demo.deploy", "r1", "success", "", {}, MOMENT, None, {}, None, "", True)
CURRENT = Current("demo", REVISION.id, 7, "http://10.0.0.1:8000", MOMENT, "serving")


def test_each_revision_says_what_it_changed_against_the_one_before() -> None:
    serve = {**SPEC["serve"], "model_name": "large", "env": {"HF_TOKEN": "canary-2"}}
    newer = replace(REVISION, id="ba9876543210", spec={**SPEC, "serve": serve}, lock_digest="lock-2")
    newest, oldest = revisions_answer([newer, REVISION], 2).revisions
    changes = [(each.key, each.before, each.after) for each in newest.changes or ()]
    assert changes == [("lock", "lock-1", "lock-2"), ("serve.model_name", "small", "large")]
    assert oldest.changes is None
    (first,) = revisions_answer([newer, REVISION], 1).revisions
    assert first == newest


def test_no_secret_of_a_file_leaves() -> None:
    assert "canary" not in revisions_answer([REVISION], 1).model_dump_json()


def test_a_card_says_where_the_endpoint_and_the_dashboard_are() -> None:
    answer = card(Deployment("demo", True, CURRENT, RUN, None), REVISION, [])
    assert json.loads(answer.model_dump_json())["serving"] == {
        "model_name": "small",
        "hosts": [{"name": "head", "address": "10.0.0.1", "gpus": 8}],
        "docs": "http://10.0.0.1:8000/docs",
        "dashboard": "http://10.0.0.1:8265",
    }


def test_a_card_without_ray_has_no_dashboard_and_one_of_nothing_serves_nothing() -> None:
    without = replace(REVISION, spec={**SPEC, "serve": {**SPEC["serve"], "backend": "mp"}})
    serving = card(Deployment("demo", True, CURRENT, RUN, None), without, []).serving
    assert serving is not None
    assert serving.dashboard is None
    assert card(Deployment("demo", True, None, RUN, None), None, []).serving is None


def test_cells_are_columns_with_every_field_of_a_point() -> None:
    told = json.loads(
        points_answer([point(run_id=7, ttft_p95=0.1 + 0.2), point(run_id=8, users=0, rate=2.5)]).model_dump_json()
    )
    assert set(told["points"]) == set(Point._fields)
    assert (told["points"]["run_id"], told["points"]["rate"]) == ([7, 8], [0.0, 2.5])
    assert told["points"]["ttft_p95"] == [0.1 + 0.2, None]
    assert points_answer([]).points.run_id == []
