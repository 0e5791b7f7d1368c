"""The schema over time, on whichever database ``empty_url`` names."""

from __future__ import annotations

import subprocess
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect

from slipway import __version__
from slipway.errors import StoreError
from slipway.store import RunStart, State, open_store, schema
from slipway.store.engine import open_engine
from slipway.store.models import Base

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


def test_the_newest_revision_belongs_to_a_release() -> None:
    assert list(schema.RELEASES.values())[-1] == schema.head()
    newest = [int(part) for part in list(schema.RELEASES)[-1].split(".")]
    assert newest <= [int(part) for part in __version__.split(".")]
