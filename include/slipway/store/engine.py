"""One engine a store: which databases, how they are opened, and their errors turned into ours."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from slipway.errors import StoreError

WAIT_S = 30
"""How long a transaction waits for another one's lock."""
ASK_AGAIN_S = 0.05
POOLED_S = 600
"""How long a connection is used again, where connections are kept."""
WRITES = "slipway_writes"
"""The execution option of connections that will write."""


def make_engine(url: str, *, migrating: bool = False, pooled: bool = False) -> Engine:
    """An engine for ``url``: SQLite or PostgreSQL. ``migrating`` is for changes of the schema.

    Each transaction has a connection of its own, so nothing is held between calls and a restart of the database only
    ends the call that it meets. With ``pooled`` connections to PostgreSQL are kept and looked at before each use: for a
    server that reads all day. Raises :class:`StoreError` for a URL that cannot be used.
    """
    try:
        parsed = _parse_url(url)
        engine = create_engine(
            parsed,
            **_pooling(parsed, pooled=pooled),
            hide_parameters=True,
            json_serializer=partial(json.dumps, allow_nan=False),
            connect_args=_connect_args(parsed),
        )
    except (SQLAlchemyError, ImportError) as error:
        hint = "sqlite:////folder/slipway.db or postgresql+psycopg://user:password@host/database"
        raise StoreError(f"[slipway] store_url: {error}", hint=hint) from error
    if parsed.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _prepare_migration if migrating else _prepare_sqlite)
    event.listen(engine, "begin", _begin)
    return engine


@contextmanager
def open_engine(url: str, *, migrating: bool = False, pooled: bool = False) -> Iterator[Engine]:
    """:func:`make_engine`, closed at the end."""
    engine = make_engine(url, migrating=migrating, pooled=pooled)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def turned_errors(engine: Engine) -> Iterator[None]:
    """SQLAlchemy's errors as :class:`StoreError`, which names the database without its password."""
    try:
        yield
    except SQLAlchemyError as error:
        said = error.orig if isinstance(error, DBAPIError) and error.orig else error
        message = f"{engine.url.render_as_string(hide_password=True)}: {type(said).__name__}: {said}"
        raise StoreError(message.strip(), hint=_next_step(engine)) from error


def _parse_url(url: str) -> URL:
    parsed = make_url(url)
    if parsed.get_backend_name() not in ("sqlite", "postgresql") or parsed.get_dialect().is_async:
        raise StoreError(
            f"[slipway] store_url: {parsed.drivername} is not supported", hint="use sqlite or postgresql+psycopg"
        )
    return parsed


def _pooling(url: URL, *, pooled: bool) -> dict[str, Any]:
    if pooled and url.get_backend_name() == "postgresql":
        return {"pool_pre_ping": True, "pool_recycle": POOLED_S}
    return {"poolclass": NullPool}


def _connect_args(url: URL) -> dict[str, Any]:
    return {"timeout": WAIT_S} if url.get_backend_name() == "sqlite" else {"connect_timeout": 10}


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """Transactions begin where we say so (``_begin``), and foreign keys hold."""
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA synchronous=NORMAL")


def _prepare_migration(connection: Any, _record: Any) -> None:
    """Readers and a writer side by side from now on (WAL stays with the file); batch mode rebuilds tables, so foreign
    keys rest."""
    connection.isolation_level = None
    deadline = time.monotonic() + WAIT_S
    while not _keeps_wal(connection, last=time.monotonic() >= deadline):
        time.sleep(ASK_AGAIN_S)


def _keeps_wal(connection: sqlite3.Connection, *, last: bool) -> bool:
    """Whether the file is kept so now. SQLite itself waits for no lock here, as that of another who migrates."""
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.OperationalError as error:
        if last or error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


def _begin(connection: Connection) -> None:
    """A writer in SQLite takes the lock at once: one that reads first could not wait for it any more."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(WRITES) else "BEGIN")
    else:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{WAIT_S}s'")


def _next_step(engine: Engine) -> str:
    from slipway.store import schema

    try:
        migrated = schema.current(engine) == schema.head()
    except SQLAlchemyError:
        return "see that the database is there and that [slipway] store_url names it"
    return "" if migrated else "run `airflow db migrate`: the store's tables are not those of this version of Slipway"
