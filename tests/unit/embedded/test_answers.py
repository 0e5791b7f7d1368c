from __future__ import annotations

from datetime import UTC, datetime

from slipway.embedded.answers import Task, in_order, parse_health, parse_log_entry, parse_run, parse_task_instance

# Captured from Airflow 3.3.2, shortened to what is read.
WAITING = {
    "task_id": "last",
    "map_index": -1,
    "state": None,
    "try_number": 0,
    "start_date": None,
    "end_date": None,
    "duration": None,
    "rendered_map_index": None,
}
MAPPED = WAITING | {
    "task_id": "level",
    "map_index": 2,
    "state": "success",
    "try_number": 1,
    "duration": 3.131,
    "start_date": "2026-11-23T22:11:02.893255Z",
    "end_date": "2026-11-23T22:11:06.024508Z",
}


def test_a_task_that_waits_has_a_state_and_a_try() -> None:
    task = parse_task_instance(WAITING)
    assert (task.state, task.try_number, task.started_at, task.ended, task.title) == ("none", 1, None, False, "last")


def test_a_mapped_part_is_named_by_its_label_or_its_index() -> None:
    assert parse_task_instance(MAPPED).title == "level [2]"
    assert parse_task_instance(MAPPED | {"rendered_map_index": "4 users"}).title == "level [4 users]"
    assert parse_task_instance(MAPPED).started_at == datetime(2026, 11, 23, 22, 11, 2, 893255, tzinfo=UTC)


def test_a_run_has_ended_only_in_a_final_state() -> None:
    data = {"dag_id": "toy", "dag_run_id": "r1", "state": "queued", "start_date": None, "end_date": None}
    assert [parse_run(data | {"state": state}).ended for state in ("queued", "running", "success", "failed")] == [
        False,
        False,
        True,
        True,
    ]


def test_a_part_of_airflow_that_never_ran_is_sick() -> None:
    health = parse_health(
        {"metadatabase": {"status": "healthy"}, "scheduler": {"status": "unhealthy"}, "triggerer": {"status": None}}
    )
    assert health.sick == ("scheduler", "triggerer")


def test_a_log_entry_shows_its_exception_with_the_place_that_raised_it() -> None:
    frames = [
        {"filename": "task_runner.py", "lineno": 1579, "name": "run"},
        {"filename": "toy.py", "lineno": 16, "name": "last"},
    ]
    entry = {
        "event": "Task failed with exception",
        "error_detail": [{"exc_type": "RuntimeError", "exc_value": "the end is broken", "frames": frames}],
    }
    assert parse_log_entry(entry) == ["Task failed with exception", "RuntimeError: the end is broken  (toy.py:16)"]


def test_marks_of_log_groups_are_left_out() -> None:
    assert parse_log_entry({"event": "::group::Pre Execute"}) == []


def test_tasks_come_after_those_that_they_follow() -> None:
    tasks = [
        Task("report", ()),
        Task("deploy", ("measure", "report")),
        Task("check", ("deploy",)),
        Task("measure", ("report",)),
    ]
    assert in_order(tasks) == ["check", "deploy", "measure", "report"]


def test_tasks_side_by_side_keep_their_order() -> None:
    tasks = [Task("environment", ("serve",)), Task("weights", ("serve",)), Task("serve", ())]
    assert in_order(tasks) == ["environment", "weights", "serve"]
