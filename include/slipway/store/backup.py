"""The store as one file, whichever database it lies in: gzip, a line of JSON a row.

The first line says which schema the rows are of and how many each table has, so that half a file is refused.
"""

from __future__ import annotations

import gzip
import json
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, DateTime, Engine, Table, delete, func, insert, inspect, null, select
from sqlalchemy.schema import MetaData

from slipway import __version__
from slipway.errors import StoreError
from slipway.store import schema
from slipway.store.engine import WRITES, open_engine, turned_errors

FORMAT = 1
AT_ONCE = 500
"""Rows that are read and inserted at a time."""

Rows = Mapping[str, int]
"""How many rows each table has."""


def backup(url: str, path: Path) -> Rows:
    """Write everything in the store to ``path``, as it is at one moment. Raises StoreError."""
    with open_engine(url) as engine, turned_errors(engine):
        revision = schema.current(engine)
        if revision is None:
            raise StoreError("there is no store to back up", hint="see that [slipway] store_url names it")
        with engine.execution_options(**_snapshot(engine)).connect() as connection:
            tables = _tables(connection)
            counts = {table.name: _count(connection, table) for table in tables}
            head = {"format": FORMAT, "slipway": __version__, "schema": revision, "rows": counts}
            fresh = path.with_name(f"{path.name}.part")
            fresh.touch(mode=0o600)
            with gzip.open(fresh, "wt", encoding="utf-8") as file:
                file.write(f"{json.dumps(head)}\n")
                for table in tables:
                    file.writelines(f"{json.dumps([table.name, row])}\n" for row in _plain_rows(connection, table))
            fresh.replace(path)
    return counts


def restore(url: str, path: Path, *, force: bool = False) -> Rows:
    """Put a backup into the store at ``url``, whose schema is brought up to date, and the rows with it.

    It is read whole and migrated beside the store first; then it goes in in one transaction, or nothing of it does.
    Raises StoreError for a file that is damaged or of a newer Slipway, and for a store that has rows, unless ``force``:
    then they are replaced.
    """
    with tempfile.TemporaryDirectory(prefix="slipway-restore-") as folder:
        staged_url = f"sqlite:///{folder}/staged.db"
        _stage(staged_url, path)
        schema.upgrade(url)
        with open_engine(staged_url) as staged, open_engine(url) as engine, turned_errors(engine):
            return _put(staged, engine, force=force)


def _stage(url: str, path: Path) -> None:
    """The backup in a database of its own, brought up to date."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            head = json.loads(file.readline())
            _require_known(head, path)
            schema.upgrade(url, head["schema"])
            with open_engine(url, migrating=True) as engine, turned_errors(engine), engine.begin() as connection:
                found = _insert_lines(connection, file)
    except OSError as error:
        raise StoreError(f"{path}: {error}", hint="give a file that `slipway db backup` wrote") from error
    except (EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is no whole backup: {error!r}", hint="take another one") from error
    if found != head["rows"]:
        raise StoreError(f"{path} is no whole backup: {found} of {head['rows']} rows", hint="take another one")
    schema.upgrade(url)


def _put(staged: Engine, engine: Engine, *, force: bool) -> Rows:
    with staged.connect() as source, engine.execution_options(**{WRITES: True}).begin() as target:
        tables = _tables(target)
        held = {table.name: count for table in tables if (count := _count(target, table))}
        if held and not force:
            raise StoreError(f"the store has rows already: {held}", hint="--force replaces them by those of the backup")
        for table in reversed(tables):
            target.execute(delete(table))
        for table in tables:
            _insert(target, table, _plain_rows(source, Table(table.name, MetaData(), autoload_with=source)))
            _count_on(target, table)
        return {table.name: _count(target, table) for table in tables}


def _require_known(head: Mapping[str, Any], path: Path) -> None:
    if head["format"] != FORMAT or head["schema"] not in schema.revisions():
        made = f"Slipway {head['slipway']} (format {head['format']}, schema {head['schema']})"
        raise StoreError(f"{path} is of {made}, which this Slipway {__version__} does not know", hint="upgrade first")


def _tables(connection: Connection) -> list[Table]:
    """The store's tables as they are in this database, those before others that these refer to."""
    names = [name for name in inspect(connection).get_table_names() if name.startswith("slipway_")]
    found = MetaData()
    found.reflect(connection, only=[name for name in names if name != schema.VERSION_TABLE])
    return found.sorted_tables


def _plain_rows(connection: Connection, table: Table) -> Iterator[dict[str, Any]]:
    for row in connection.execution_options(yield_per=AT_ONCE).execute(select(table).order_by(*table.primary_key)):
        yield {name: _plain(value) for name, value in row._mapping.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    return value


def _insert_lines(connection: Connection, lines: Iterator[str]) -> Rows:
    tables = {table.name: table for table in _tables(connection)}
    found = dict.fromkeys(tables, 0)
    for name, row in map(json.loads, lines):
        _insert(connection, tables[name], iter([row]))
        found[name] += 1
    return found


def _insert(connection: Connection, table: Table, rows: Iterator[dict[str, Any]]) -> None:
    for row in rows:
        connection.execute(insert(table).values({name: _typed(table, name, value) for name, value in row.items()}))


def _typed(table: Table, name: str, value: Any) -> Any:
    if value is None:
        return null()
    kind = table.columns[name].type
    return datetime.fromisoformat(value) if isinstance(kind, DateTime) else value


def _count_on(connection: Connection, table: Table) -> None:
    """PostgreSQL counts ids apart from the rows: the next one must come after those that were put in."""
    key = table.primary_key.columns.get("id")
    if connection.dialect.name != "postgresql" or key is None or key.type.python_type is not int:
        return
    sequence = func.pg_get_serial_sequence(table.name, key.name)
    last = connection.scalar(select(func.max(key)))
    connection.execute(select(func.setval(sequence, last or 1, last is not None)))


def _count(connection: Connection, table: Table) -> int:
    return connection.scalar(select(func.count()).select_from(table)) or 0


def _snapshot(engine: Engine) -> dict[str, Any]:
    """One moment for all tables. SQLite's transactions are so by themselves."""
    return {"isolation_level": "REPEATABLE READ"} if engine.dialect.name == "postgresql" else {}
