"""The schema over time, on whichever database ``empty_url`` names."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, MetaData, inspect, text
from unit.store.rows import fill

from slipway import __version__
from slipway.errors import StoreError
from slipway.store import RunStart, State, open_store, schema
from slipway.store.engine import open_engine
from slipway.store.models import Base

NOW = datetime(2026, 1, 2, tzinfo=UTC)
EARLIER: dict[str, dict[str, Any]] = {
    "lock": {"digest": "l", "text": ""},
    "revision": {
        "id": "r",
        "deployment": "demo",
        "spec": "{}",
        "lock_digest": "l",
        "workload": "w",
        "rehearsal": True,
        "created_at": NOW,
    },
    "run": {
        "id": 1,
        "deployment": "demo",
        "revision_id": "r",
        "job": "deploy",
        "dag_id": "d",
        "dag_run_id": "1",
        "state": "success",
        "reason": "",
        "conf": {},
        "started_at": NOW,
        "snapshot": {},
        "verdict_reason": "",
        "rehearsal": True,
    },
    "cell": {
        "run_id": 1,
        "deployment": "demo",
        "revision_id": "r",
        "users": 10,
        "spawn_rate": 2.0,
        "processes": 1,
        "started_at": NOW,
        "window_s": 10.0,
        "requests": 1,
        "errors": {},
        "prompt_tokens": 2,
        "output_tokens": 3,
        "requests_per_s": 0.1,
        "output_tokens_per_s": 0.3,
        "validity": "valid",
        "reasons": [],
        "client": {},
        "server": {},
        "artifacts": "/a",
        "try_number": 1,
    },
}
"""Rows of the first schema, by table."""

OPTIONS = {"version_table": schema.VERSION_TABLE, "compare_type": True, "compare_server_default": True}


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names())


def test_the_models_are_what_the_migrations_make(empty_url: str) -> None:
    schema.upgrade(empty_url)
    with open_engine(empty_url) as engine, engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=OPTIONS), Base.metadata) == []
    with open_engine(empty_url) as engine:
        assert tables(engine) == {*Base.metadata.tables, schema.VERSION_TABLE}


def test_up_down_and_up_again(empty_url: str) -> None:
    with open_engine(empty_url) as engine:
        assert schema.current(engine) is None
        schema.upgrade(empty_url)
        assert schema.current(engine) == schema.head()
        schema.downgrade(empty_url, "base")
        assert schema.current(engine) is None
        assert tables(engine) == {schema.VERSION_TABLE}
        schema.upgrade(empty_url)
        assert schema.current(engine) == schema.head()


def test_a_second_upgrade_keeps_what_is_there(empty_url: str) -> None:
    schema.upgrade(empty_url)
    with open_store(empty_url) as store:
        run = store.begin_run(RunStart("demo", "teardown", "demo.teardown", "r1"))
        schema.upgrade(empty_url)
        assert store.run_by_id(run).state == State.RUNNING


def test_cells_of_an_earlier_version_are_kept(empty_url: str) -> None:
    """Under the new key two rates of a run are two cells; going back, cells without users are lost."""
    schema.upgrade(empty_url, "0001")
    with open_engine(empty_url, migrating=True) as engine, engine.begin() as connection:
        tables = MetaData()
        tables.reflect(connection)
        for name, values in EARLIER.items():
            connection.execute(tables.tables[f"slipway_{name}"].insert().values(**values))
    schema.upgrade(empty_url)
    with open_store(empty_url) as store:
        [kept] = store.cells(1)
        assert (kept.measurement.users, kept.measurement.rate, kept.measurement.goodput) == (10, 0.0, None)
        assert (kept.measurement.histograms, kept.measurement.series) == ({}, {})
        for rate in (1.0, 2.0):
            store.record_cell(1, replace(kept.measurement, users=0, rate=rate), "/a")
        assert [cell.measurement.rate for cell in store.cells(1)] == [1.0, 2.0, 0.0]
    schema.downgrade(empty_url, "0001")
    schema.upgrade(empty_url)
    with open_store(empty_url) as store:
        assert [cell.measurement for cell in store.cells(1)] == [kept.measurement]


def test_of_two_migrators_at_once_each_succeeds(empty_url: str) -> None:
    program = "import sys; from slipway.store import schema; schema.upgrade(sys.argv[1])"
    started = [subprocess.Popen([sys.executable, "-c", program, empty_url]) for _ in range(2)]
    assert [process.wait(60) for process in started] == [0, 0]
    with open_engine(empty_url) as engine:
        assert schema.current(engine) == schema.head()


def test_only_shown_nothing_is_done(empty_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    schema.upgrade(empty_url, only_show=True)
    shown = capsys.readouterr().out
    assert all(f"CREATE TABLE {name} " in shown for name in Base.metadata.tables)
    schema.downgrade(empty_url, "base", only_show=True)
    assert "DROP TABLE slipway_revision" in capsys.readouterr().out
    with open_engine(empty_url) as engine:
        assert tables(engine) == set()


def test_a_store_without_tables_says_what_to_run(empty_url: str) -> None:
    with open_store(empty_url) as store, pytest.raises(StoreError, match="airflow db migrate"):
        store.runs()


def test_what_served_before_there_was_promotion_is_the_last_good_one(empty_url: str) -> None:
    schema.upgrade(empty_url, "0003")
    columns = (
        "id, deployment, job, dag_id, dag_run_id, state, reason, conf, started_at, snapshot, verdict_reason, rehearsal"
    )
    now = "2026-01-01 00:00:00"
    with open_engine(empty_url, migrating=True) as engine, engine.begin() as connection:
        connection.execute(text("INSERT INTO slipway_lock (digest, text) VALUES ('l', '')"))
        for number, name, state in ((1, "good", "success"), (2, "bad", "failed")):
            values = (
                f"{number}, '{name}', 'deploy', '{name}.deploy', 'r', '{state}', '', '{{}}', '{now}', '{{}}', '', true"
            )
            revision = f"'{name}', '{name}', '', 'l', 'w', true, '{now}'"
            connection.execute(text(f"INSERT INTO slipway_revision VALUES ({revision})"))
            connection.execute(text(f"INSERT INTO slipway_run ({columns}) VALUES ({values})"))
            current = f"'{name}', '{name}', {number}, 'http://x', '{now}', 'serving'"
            connection.execute(text(f"INSERT INTO slipway_current VALUES ({current})"))
    schema.upgrade(empty_url)
    with open_store(empty_url) as store:
        promoted = store.promoted("good")
        assert promoted
        assert (promoted.revision_id, promoted.run_id) == ("good", 1)
        assert store.promoted("bad") is None


def test_the_newest_revision_belongs_to_a_release() -> None:
    assert list(schema.RELEASES.values())[-1] == schema.head()
    newest = [int(part) for part in list(schema.RELEASES)[-1].split(".")]
    assert newest <= [int(part) for part in __version__.split(".")]


@pytest.mark.parametrize("revision", schema.revisions())
def test_from_every_schema_up_and_back_no_row_is_lost(empty_url: str, revision: str) -> None:
    """What a later schema adds is lost on the way back; the rows are not."""
    schema.upgrade(empty_url, revision)
    with open_engine(empty_url, migrating=True) as engine, engine.begin() as connection:
        before = fill(connection)
    schema.upgrade(empty_url)
    assert before.items() <= counted(empty_url).items()
    schema.downgrade(empty_url, revision)
    assert counted(empty_url) == before
    schema.upgrade(empty_url)
    assert before.items() <= counted(empty_url).items()


def counted(url: str) -> dict[str, int]:
    with open_engine(url) as engine, engine.connect() as connection:
        names = tables(engine) - {schema.VERSION_TABLE}
        return {name: connection.scalar(text(f"SELECT count(*) FROM {name}")) or 0 for name in names}
