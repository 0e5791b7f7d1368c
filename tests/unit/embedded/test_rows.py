from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from slipway.embedded.answers import TaskInstance
from slipway.embedded.rows import Bar, Row, expected_seconds, fitting, rows

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


def instance(
    task_id: str, state: str, *, index: int = -1, age_s: float = 0.0, duration_s: float | None = None
) -> TaskInstance:
    began = None if state == "none" else NOW - timedelta(seconds=age_s)
    return TaskInstance(task_id, index, state, 1, began, None, duration_s, None)


def only(state: str, *, age_s: float, expected_s: float = 0.0) -> Row:
    (row,) = rows(["serve"], [instance("serve", state, age_s=age_s)], NOW, {"serve": expected_s})
    return row


def test_rows_follow_the_order_of_the_dag_and_the_index_of_mapped_parts() -> None:
    found = [
        instance("level", "none", index=1),
        instance("strange", "none"),
        instance("level", "none", index=0),
        instance("first", "success"),
    ]
    assert [row.title for row in rows(["first", "level"], found, NOW, {})] == [
        "first",
        "level [0]",
        "level [1]",
        "strange",
    ]


def test_a_task_that_has_ended_shows_how_long_it_took_and_no_bar() -> None:
    (row,) = rows(["a"], [instance("a", "success", age_s=99, duration_s=4.5)], NOW, {"a": 60.0})
    assert (row.seconds, row.bar) == (4.5, None)


def test_a_task_that_waits_shows_no_time() -> None:
    (row,) = rows(["a"], [instance("a", "none")], NOW, {})
    assert (row.seconds, row.words) == (None, "waiting")


@pytest.mark.parametrize(
    ("age_s", "expected_s", "bar"),
    [
        (3.0, 0.0, None),
        (6.0, 0.0, Bar(None)),
        (30.0, 60.0, Bar(0.5, "about 60 s before")),
        (90.0, 60.0, Bar(0.95, "about 60 s before")),
    ],
    ids=["short", "nobody knows", "as before", "longer than before"],
)
def test_the_bar_of_a_running_task(age_s: float, expected_s: float, bar: Bar | None) -> None:
    assert only("running", age_s=age_s, expected_s=expected_s).bar == bar


def test_what_is_told_about_progress_is_shown_before_what_is_guessed() -> None:
    def progress(task_id: str, map_index: int) -> tuple[float, str] | None:
        return (0.25, "15 of 60 s") if (task_id, map_index) == ("level", 1) else None

    found = [instance("level", "running", index=index, age_s=30) for index in (0, 1)]
    bars = [row.bar for row in rows(["level"], found, NOW, {"level": 40.0}, progress)]
    assert bars == [Bar(0.75, "about 40 s before"), Bar(0.25, "15 of 60 s")]


def test_a_clock_that_lags_shows_no_negative_time() -> None:
    assert only("running", age_s=-2.0).seconds == 0.0


def test_the_longest_of_the_earlier_runs_is_expected() -> None:
    earlier = [
        instance("a", "success", duration_s=0.3),
        instance("a", "success", duration_s=180.0),
        instance("b", "success"),
    ]
    assert expected_seconds(earlier) == {"a": 180.0, "b": 0.0}


def test_what_does_not_fit_is_counted_and_what_runs_stays() -> None:
    ended = [Row(f"level [{index}]", "success") for index in range(8)]
    running = [Row("report", "running"), Row("broken", "failed")]
    kept = fitting([*ended, *running], 6)
    assert [row.title for row in kept] == ["5 more", "level [5]", "level [6]", "level [7]", "report", "broken"]


def test_rows_that_fit_are_left_as_they_are() -> None:
    few = [Row("a", "success"), Row("b", "running")]
    assert fitting(few, 2) == few
