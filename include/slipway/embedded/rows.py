"""A run as rows for the eye: which task is where, for how long, and how far."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from slipway.embedded.answers import TaskInstance

Progress = Callable[[str, int], tuple[float, str] | None]
"""From a task's id and map index to the part that is done (0 to 1) and what it does now, or None where nobody knows."""

ACTIVE = ("running", "deferred")
LONG_S = 5.0
"""A task that takes longer than this gets a bar."""
GUESSED_AT_MOST = 0.95
"""A bar that follows the time of earlier runs waits here for the true end."""


@dataclass(frozen=True)
class Bar:
    """``fraction`` from 0 to 1, or None where the end is not known; ``text`` says what is being done."""

    fraction: float | None
    text: str = ""


@dataclass(frozen=True)
class Row:
    """One task, or one part of a mapped task. ``seconds`` are those of its latest try."""

    title: str
    state: str
    seconds: float | None = None
    try_number: int = 1
    bar: Bar | None = None

    @property
    def words(self) -> str:
        """The state as a person reads it."""
        return {"none": "waiting"}.get(self.state, self.state.replace("_", " "))


def rows(
    order: Sequence[str],
    instances: Iterable[TaskInstance],
    now: datetime,
    expected_s: Mapping[str, float],
    progress: Progress | None = None,
) -> list[Row]:
    """The run's tasks in the order of the DAG, mapped parts by index; tasks that the order lacks come last."""
    place = {task_id: index for index, task_id in enumerate(order)}
    known = sorted(instances, key=lambda task: (place.get(task.task_id, len(place)), task.task_id, task.map_index))
    return [_row(task, now, expected_s, progress) for task in known]


def expected_seconds(successes: Iterable[TaskInstance]) -> dict[str, float]:
    """How long each task may take, from earlier runs: the longest, as a run that found its work done says nothing."""
    longest: dict[str, float] = {}
    for task in successes:
        longest[task.task_id] = max(longest.get(task.task_id, 0.0), task.duration_s or 0.0)
    return longest


def fitting(all_rows: Sequence[Row], height: int) -> list[Row]:
    """At most ``height`` rows: where there are more, the first that have ended give way to one that counts them."""
    surplus = len(all_rows) - height
    if surplus <= 0:
        return list(all_rows)
    ended = [row for row in all_rows if row.state in ("success", "skipped", "removed")][: surplus + 1]
    kept = [row for row in all_rows if row not in ended]
    return [Row(f"{len(ended)} more", "success"), *kept] if ended else kept


def _row(task: TaskInstance, now: datetime, expected_s: Mapping[str, float], progress: Progress | None) -> Row:
    seconds = task.duration_s
    if task.state not in ACTIVE or task.started_at is None:
        return Row(task.title, task.state, seconds if task.started_at else None, task.try_number)
    seconds = max(0.0, (now - task.started_at).total_seconds())
    told = progress(task.task_id, task.map_index) if progress else None
    bar = Bar(*told) if told else _guessed(seconds, expected_s.get(task.task_id, 0.0))
    return Row(task.title, task.state, seconds, task.try_number, bar)


def _guessed(seconds: float, expected_s: float) -> Bar | None:
    if expected_s > LONG_S:
        return Bar(min(GUESSED_AT_MOST, seconds / expected_s), f"about {expected_s:.0f} s before")
    return Bar(None) if seconds > LONG_S else None
