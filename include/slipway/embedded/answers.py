"""What Airflow's REST API answers, as frozen types: only the fields that Slipway uses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

UNMAPPED = -1
"""The map index of a task instance that is not one of several."""

ENDED_RUN = ("success", "failed")
ENDED_TASK = ("success", "failed", "skipped", "upstream_failed", "removed")


@dataclass(frozen=True)
class Health:
    """The parts of Airflow and their states as Airflow says them; a part that never ran has none."""

    states: Mapping[str, str | None]

    @property
    def sick(self) -> tuple[str, ...]:
        return tuple(part for part, state in self.states.items() if state != "healthy")


@dataclass(frozen=True)
class Dag:
    """A DAG as Airflow has stored it, which may be older than its file; ``parsed_at`` says how old."""

    dag_id: str
    paused: bool
    stale: bool
    parsed_at: datetime | None
    file_token: str


@dataclass(frozen=True)
class ImportFault:
    """A file in the DAG folder that cannot be imported."""

    filename: str
    trace: str
    seen_at: datetime


@dataclass(frozen=True)
class Task:
    """A task of a DAG; ``downstream`` are the ids of the tasks that follow it."""

    task_id: str
    downstream: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """A DAG run."""

    dag_id: str
    run_id: str
    state: str
    started_at: datetime | None
    ended_at: datetime | None

    @property
    def ended(self) -> bool:
        return self.state in ENDED_RUN


@dataclass(frozen=True)
class TaskInstance:
    """One task of one run, or one of its mapped parts; ``state`` is ``none`` until the scheduler takes it up.

    ``duration_s`` is known once the try has ended. ``try_number`` counts from 1.
    """

    task_id: str
    map_index: int
    state: str
    try_number: int
    started_at: datetime | None
    ended_at: datetime | None
    duration_s: float | None
    map_label: str | None

    @property
    def ended(self) -> bool:
        return self.state in ENDED_TASK

    @property
    def title(self) -> str:
        """The task's id, and for a mapped part its label or its index."""
        if self.map_index == UNMAPPED:
            return self.task_id
        return f"{self.task_id} [{self.map_label or self.map_index}]"


def parse_health(data: Mapping[str, Any]) -> Health:
    return Health({part: entry.get("status") for part, entry in data.items() if isinstance(entry, Mapping)})


def parse_dag(data: Mapping[str, Any]) -> Dag:
    parsed_at = _moment(data["last_parsed_time"])
    return Dag(data["dag_id"], data["is_paused"], data["is_stale"], parsed_at, data["file_token"])


def parse_import_fault(data: Mapping[str, Any]) -> ImportFault:
    return ImportFault(data["filename"], data["stack_trace"], datetime.fromisoformat(data["timestamp"]))


def parse_task(data: Mapping[str, Any]) -> Task:
    return Task(data["task_id"], tuple(data["downstream_task_ids"] or ()))


def parse_run(data: Mapping[str, Any]) -> Run:
    began, ended = _moment(data["start_date"]), _moment(data["end_date"])
    return Run(data["dag_id"], data["dag_run_id"], data["state"], began, ended)


def parse_task_instance(data: Mapping[str, Any]) -> TaskInstance:
    return TaskInstance(
        task_id=data["task_id"],
        map_index=data["map_index"],
        state=data["state"] or "none",
        try_number=max(1, data["try_number"]),
        started_at=_moment(data["start_date"]),
        ended_at=_moment(data["end_date"]),
        duration_s=data["duration"],
        map_label=data["rendered_map_index"],
    )


def parse_log_entry(data: Mapping[str, Any]) -> list[str]:
    """The lines of one entry of a task's log: exceptions as ``type: message (file:line)``, marks of groups left out."""
    event = str(data["event"])
    if event.startswith("::"):
        return []
    return [*event.splitlines(), *(_exception(detail) for detail in data.get("error_detail") or ())]


def in_order(tasks: Iterable[Task]) -> list[str]:
    """The ids of the tasks, each after those that it follows; else in the order given."""
    following = {task.task_id: set(task.downstream) for task in tasks}
    ordered: list[str] = []
    while following:
        followed = set().union(*following.values())
        free = next((task_id for task_id in following if task_id not in followed), next(iter(following)))
        ordered.append(free)
        del following[free]
    return ordered


def _exception(detail: Mapping[str, Any]) -> str:
    frames = detail.get("frames") or ()
    place = f"  ({frames[-1]['filename']}:{frames[-1]['lineno']})" if frames else ""
    return f"{detail.get('exc_type')}: {detail.get('exc_value')}{place}"


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
