from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from slipway.embedded import terminal
from slipway.embedded.answers import Run, Task, TaskInstance
from slipway.embedded.rows import Bar, Row
from slipway.embedded.terminal import Outcome, Picture, drawn, follow, open_view, run_url
from slipway.errors import AirflowRefused, AirflowUnreachable, NotReady, ServerDied

BEGAN = datetime.now(UTC) - timedelta(seconds=30)


def run(state: str) -> Run:
    return Run("toy", "r1", state, BEGAN, BEGAN + timedelta(seconds=28) if state in ("success", "failed") else None)


def part(
    task_id: str, state: str, *, index: int = -1, try_number: int = 1, duration_s: float | None = None
) -> TaskInstance:
    began = None if state in ("none", "queued") else BEGAN
    return TaskInstance(task_id, index, state, try_number, began, None, duration_s, None)


class Airflow:
    """Says one (run state, task instances) after the other; an exception in their place is raised."""

    url = "http://127.0.0.1:8080"

    def __init__(self, *scenes: tuple[str, list[TaskInstance]] | Exception) -> None:
        self.scenes = list(scenes)
        self.logs: list[str] = []

    def tasks(self, dag_id: str) -> list[Task]:
        return [Task("first", ("level",)), Task("level", ("last",)), Task("last", ())]

    def recent_successes(self, dag_id: str) -> list[TaskInstance]:
        return []

    def run(self, dag_id: str, run_id: str) -> Run:
        scene = self.scenes.pop(0)
        if isinstance(scene, Exception):
            raise scene
        self.instances = scene[1]
        return run(scene[0])

    def task_instances(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        return self.instances

    def log_tail(self, dag_id: str, run_id: str, task: TaskInstance, lines: int) -> list[str]:
        self.logs.append(task.title)
        return ["working", f"RuntimeError: {task.title} is broken  (toy.py:16)"]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "POLL_S", 0.0)


def watched(airflow: Airflow, **options: float) -> tuple[Outcome, list[str]]:
    console = Console(file=io.StringIO(), width=40)
    outcome = follow(airflow, "toy", "r1", console=console, **options)  # type: ignore[arg-type]
    return outcome, console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def without_clock(lines: list[str]) -> list[str]:
    return [line.partition("] ")[2] for line in lines if line.startswith("[")]


def test_where_nobody_watches_each_change_is_one_line() -> None:
    outcome, lines = watched(
        Airflow(
            ("queued", [part("first", "none"), part("level", "none")]),
            ("running", [part("first", "queued"), part("level", "none")]),
            ("running", [part("first", "running"), part("level", "none")]),
            ("running", [part("first", "running"), part("level", "none")]),
            ("running", [part("first", "up_for_retry", duration_s=1.0), part("level", "none")]),
            ("running", [part("first", "success", try_number=2, duration_s=4.2), part("level", "running", index=0)]),
            (
                "success",
                [
                    part("first", "success", try_number=2, duration_s=4.2),
                    part("level", "success", index=0, duration_s=9.0),
                ],
            ),
        )
    )
    assert outcome.ok
    assert without_clock(lines) == [
        "first: running",
        "first: up for retry",
        "first: success after 4.2 s (try 2)",
        "level [0]: running",
        "level [0]: success after 9.0 s",
    ]
    assert lines[-1] == "run r1 of toy: success after 28 s"


def test_a_failed_run_ends_with_the_logs_of_the_tasks_that_failed_themselves() -> None:
    airflow = Airflow(
        (
            "failed",
            [
                part("last", "upstream_failed"),
                part("level", "failed", index=1, try_number=2),
                part("level", "success", index=0),
                part("first", "success"),
            ],
        )
    )
    outcome, lines = watched(airflow)
    assert not outcome.ok
    assert [task.title for task in outcome.failed] == airflow.logs == ["level [1]"]
    text = "\n".join(lines)
    assert "level [1] failed in try 2; its log ends with:\n    working\n    RuntimeError: level [1] is broken" in text
    assert "the whole log: http://127.0.0.1:8080/dags/toy/runs/r1/tasks/level/mapped/1" in text


def test_a_run_that_nobody_carries_out_any_more_is_not_followed_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    def look() -> None:
        raise ServerDied("airflow.scheduler: killed by signal 9 too often")

    monkeypatch.setattr(terminal, "LOOK_EVERY_S", 0.0)
    scenes = [("running", [part("first", "running")])] * 2
    with pytest.raises(ServerDied, match=r"airflow\.scheduler"):
        follow(Airflow(*scenes), "toy", "r1", console=Console(file=io.StringIO()), look=look)  # type: ignore[arg-type]


def test_a_failed_task_without_a_log_is_reported_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Airflow, dag_id: str, run_id: str, task: TaskInstance, lines: int) -> list[str]:
        raise AirflowRefused(404, "no log of first", hint="none was written")

    monkeypatch.setattr(Airflow, "log_tail", refuse)
    outcome, lines = watched(Airflow(("failed", [part("first", "failed")])))
    assert not outcome.ok
    assert "    no log of first" in lines
    assert lines[-1] == "the run: http://127.0.0.1:8080/dags/toy/runs/r1"


def test_an_airflow_that_is_silent_for_a_moment_is_waited_for() -> None:
    scenes = [
        ("running", [part("first", "running")]),
        AirflowUnreachable("no answer"),
        ("success", [part("first", "success")]),
    ]
    outcome, _ = watched(Airflow(*scenes))  # type: ignore[arg-type]
    assert outcome.ok


def test_an_airflow_that_stays_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "OUTAGE_S", 0.0)
    with pytest.raises(AirflowUnreachable):
        watched(Airflow(("running", []), AirflowUnreachable("no answer")))


def test_a_run_without_end_is_given_up_and_its_page_named() -> None:
    with pytest.raises(NotReady, match=r"r1 of toy has not ended within 0 s\n.*http://127.0.0.1:8080/dags/toy/runs/r1"):
        watched(Airflow(("running", []), ("running", [])), limit_s=0.0)


def shown(picture: Picture, height: int = 30) -> str:
    console = Console(file=io.StringIO(), width=100, height=height, force_terminal=True, color_system=None)
    console.print(drawn(picture, height))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_table_shows_state_time_try_and_how_far() -> None:
    text = shown(
        Picture(
            run("running"),
            [
                Row("first", "success", 4.25),
                Row("level [0]", "running", 30.0, 2, Bar(0.5, "15 of 30 s")),
                Row("last", "none"),
            ],
        )
    )
    lines = text.splitlines()
    assert lines[0].split() == ["toy", "r1"]
    assert lines[2].split() == ["first", "success", "4.2", "1"]
    assert lines[3].split()[:4] == ["level", "[0]", "running", "30.0"]
    assert lines[3].rstrip().endswith("15 of 30 s")
    assert lines[3].count("━") == 12
    assert lines[4].split() == ["last", "waiting"]


def test_the_table_says_that_airflow_is_silent() -> None:
    assert "no answer for 12 s" in shown(Picture(run("running"), [], silent_s=12.3))
    assert "no answer" not in shown(Picture(run("running"), []))


@pytest.mark.parametrize("height", [8, 12, 40])
def test_the_table_fits_the_terminal(height: int) -> None:
    many = [Row(f"level [{index}]", "success", 1.0) for index in range(30)]
    assert len(shown(Picture(run("running"), many), height).splitlines()) <= height


def test_the_live_table_is_for_terminals_alone() -> None:
    console = Console(file=io.StringIO(), width=80, height=20, force_terminal=True)
    with open_view(console) as view:
        view.show(Picture(run("running"), [Row("first", "running", 3.0)]))
    assert "\x1b[" in console.file.getvalue()  # type: ignore[attr-defined]


def test_the_page_of_a_task_that_is_not_mapped() -> None:
    assert run_url("http://x", "toy", "r1", part("first", "failed")) == "http://x/dags/toy/runs/r1/tasks/first"
