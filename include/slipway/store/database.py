"""Short transactions, the ground that every query stands on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Engine
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from slipway.errors import StoreError
from slipway.store.engine import WRITES, turned_errors
from slipway.store.models import Base

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Row = TypeVar("Row", bound=Base)
Record = TypeVar("Record", bound="DataclassInstance")


class Database:
    """One engine, and one transaction a call: committed whole, or nothing of it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        with turned_errors(self._engine), Session(self._engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        engine = self._engine.execution_options(**{WRITES: True})
        with turned_errors(self._engine), Session(engine, expire_on_commit=False) as session, session.begin():
            yield session


def insert_into(session: Session, table: type[Base]) -> postgresql.Insert | sqlite.Insert:
    """An insert that knows ``on_conflict``, in the dialect of the session's database."""
    if session.get_bind().dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def existing(session: Session, table: type[Row], key: Any, *, lock: bool = False) -> Row:
    """The row with this key, until the end of the transaction if ``lock``. :class:`StoreError` where there is none."""
    row = session.get(table, key, with_for_update=lock or None)
    if row is None:
        hint = "see that [slipway] store_url is the same for every task"
        raise StoreError(f"{table.__tablename__} has no row {key!r}", hint=hint)
    return row


def record(kind: type[Record], row: Base) -> Record:
    """``row`` as a record of ``kind``, whose fields are the row's columns by name."""
    return kind(**{column.name: getattr(row, column.name) for column in fields(kind)})
