from __future__ import annotations

import os
from pathlib import Path

import pytest

from slipway.results.retention import DAY_S, age_out

NOW = 1_800_000_000.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Runs whose rows are 1, 10 and 100 days old, one that a process still writes into, and what is none."""
    for name, days in {"run-1": 100, "run-2": 10, "run-3": 1, "other": 100}.items():
        rows = tmp_path / name / "users-1" / "rows.jsonl"
        rows.parent.mkdir(parents=True)
        rows.write_text("{}")
        for path in (rows, rows.parent, rows.parent.parent):
            os.utime(path, times=(NOW - days * DAY_S,) * 2)
    (tmp_path / "run-4").mkdir()
    os.utime(tmp_path / "run-4", times=(0, 0))
    (tmp_path / "run-4" / "rows.jsonl").touch()
    os.utime(tmp_path / "run-4" / "rows.jsonl", times=(NOW, NOW))
    return tmp_path


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("days", "aged"), [(0, []), (200, []), (30, ["run-1"]), (5, ["run-1", "run-2"]), (0.5, ["run-1", "run-2", "run-3"])]
)
def test_only_runs_that_nothing_was_written_to_for_so_long(folder: Path, days: float, aged: list[str]) -> None:
    before = left(folder)
    assert age_out(folder, days, NOW) == aged
    assert left(folder) == before - set(aged)


def test_a_folder_that_is_not_there_has_nothing_to_remove(tmp_path: Path) -> None:
    assert age_out(tmp_path / "missing", 1, NOW) == []


def test_what_a_link_leads_to_stays(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "run-1").symlink_to(tmp_path / "kept")
    age_out(tmp_path / "rows", 1, NOW * 2)
    assert (tmp_path / "kept" / "file").exists()
