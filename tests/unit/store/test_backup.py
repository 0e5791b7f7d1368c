"""A backup holds everything, and a restore puts in everything or nothing, on whichever database the store lies in."""

from __future__ import annotations

import gzip
import json
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from unit.store.rows import fill
from unit.store.test_store import MEASURED, PARTS, START

from slipway.errors import StoreError
from slipway.spec import DeploymentSpec
from slipway.store import Restart, RunStart, SmokeCheck, State, SweepPoint, backup, open_store, schema
from slipway.store.engine import open_engine
from slipway.store.models import Base


def filled(url: str) -> None:
    """Something in every table."""
    with open_store(url) as store:
        spec = DeploymentSpec.model_validate_json(json.dumps(PARTS))
        revision = store.save_revision(spec, "a lock")
        run = store.begin_run(RunStart(**{**vars(START), "revision_id": revision, "conf": {"users": [1, 2]}}))
        stage = store.begin_stage(run, "serve")
        store.finish_stage(stage, actions=3, detail={"é": "\N{GRINNING FACE}"})
        store.record_smoke(run, [SmokeCheck("capital", True, "Paris", 0.25, {"asked": "?"})])
        store.record_cell(run, MEASURED, "/a")
        store.take_lease(run, ["10.0.0.1"], "deploy", 60)
        store.set_current(run, revision, "http://10.0.0.1:8000")
        store.promote(run, revision)
        store.record_restarts(run, [Restart("one", "demo.vllm", datetime.now(UTC), "signal", "signal 9")])
        store.begin_sweep(run, [SweepPoint(run, 1, "backend=mp", {"serve.backend": "mp"}, [(10, 0)], "d1", run_id=run)])


def contents(url: str) -> dict[str, list[Any]]:
    with open_engine(url) as engine, engine.connect() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(table.select().order_by(*table.primary_key))]
            for table in Base.metadata.sorted_tables
        }


@pytest.fixture
def saved(store_url: str, tmp_path: Path) -> Path:
    filled(store_url)
    path = tmp_path / "results.slipway"
    backup.backup(store_url, path)
    return path


def test_what_is_restored_is_what_was_saved(saved: Path, store_url: str, empty_url: str) -> None:
    held = contents(store_url)
    assert all(held.values()), "something in every table"
    assert backup.restore(empty_url, saved) == {name: len(rows) for name, rows in held.items()}
    assert contents(empty_url) == held
    with open_store(empty_url) as store:
        assert store.cells(1)[0].measurement == MEASURED


def test_the_restored_store_goes_on_with_new_ids(saved: Path, empty_url: str) -> None:
    backup.restore(empty_url, saved)
    with open_store(empty_url) as store:
        run = store.begin_run(RunStart("demo", "benchmark", "demo.benchmark", "r2"))
        assert run == 2
        assert store.begin_stage(run, "ready") == 2


def test_it_is_for_its_owner_alone(saved: Path) -> None:
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    assert not list(saved.parent.glob("*.part"))


def test_a_store_with_rows_is_overwritten_only_by_force(saved: Path, store_url: str) -> None:
    with open_store(store_url) as store:
        later = store.begin_run(RunStart("demo", "benchmark", "demo.benchmark", "r2"))
    before = contents(store_url)
    with pytest.raises(StoreError, match=r"has rows already: .*'slipway_run': 2"):
        backup.restore(store_url, saved)
    assert contents(store_url) == before
    backup.restore(store_url, saved, force=True)
    with open_store(store_url) as store:
        assert store.find_run(later) is None
        assert store.run_by_id(1).state == State.RUNNING


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_half_a_file_is_refused_and_nothing_is_touched(saved: Path, store_url: str, kept: float) -> None:
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(len(whole) * kept)])
    before = contents(store_url)
    with pytest.raises(StoreError, match="no whole backup"):
        backup.restore(store_url, saved, force=True)
    assert contents(store_url) == before


def test_a_file_that_lacks_rows_is_refused(saved: Path, empty_url: str) -> None:
    lines = gzip.decompress(saved.read_bytes()).decode().splitlines(keepends=True)
    saved.write_bytes(gzip.compress("".join(lines[:-1]).encode()))
    with pytest.raises(StoreError, match="no whole backup"):
        backup.restore(empty_url, saved)


@pytest.mark.parametrize("key", ["format", "schema"])
def test_a_file_of_a_newer_slipway_is_refused(saved: Path, empty_url: str, key: str) -> None:
    head, *lines = gzip.decompress(saved.read_bytes()).decode().splitlines()
    newer = json.dumps({**json.loads(head), key: 9999, "slipway": "9.0.0"})
    saved.write_bytes(gzip.compress("\n".join([newer, *lines]).encode()))
    with pytest.raises(StoreError, match=r"(?s)is of Slipway 9\.0\.0 .* upgrade first"):
        backup.restore(empty_url, saved)


def test_what_is_no_backup_is_refused(tmp_path: Path, empty_url: str) -> None:
    (tmp_path / "text").write_text("no backup")
    for path in (tmp_path / "text", tmp_path / "missing"):
        with pytest.raises(StoreError, match="slipway db backup"):
            backup.restore(empty_url, path)


def test_where_no_store_is_there_is_nothing_to_save(empty_url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no store to back up"):
        backup.backup(empty_url, tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_a_backup_of_an_earlier_schema_is_brought_up_to_date(store_url: str, empty_url: str, tmp_path: Path) -> None:
    schema.downgrade(store_url, "0001")
    with open_engine(store_url, migrating=True) as engine, engine.begin() as connection:
        rows = fill(connection)
    backup.backup(store_url, tmp_path / "old")
    restored = backup.restore(empty_url, tmp_path / "old")
    assert rows.items() <= restored.items()
    with open_engine(empty_url) as engine:
        assert schema.current(engine) == schema.head()
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT count(*) FROM slipway_run")) == rows["slipway_run"]
