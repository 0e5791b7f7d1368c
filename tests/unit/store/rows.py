"""Rows for a store of any schema, made from what its tables say of themselves."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, Boolean, Column, Connection, DateTime, Float, Integer, MetaData, insert

from slipway.store import schema

ROWS = 2
"""In each table."""


def fill(connection: Connection) -> dict[str, int]:
    """Two rows in every table, every column filled; answers how many each has."""
    tables = MetaData()
    tables.reflect(connection)
    found = {table.name: ROWS for table in tables.sorted_tables if table.name != schema.VERSION_TABLE}
    for table in tables.sorted_tables:
        if table.name in found:
            rows = [{column.name: _value(column, number) for column in table.columns} for number in range(1, ROWS + 1)]
            connection.execute(insert(table), rows)
    return found


def _value(column: Column[Any], number: int) -> Any:
    kind = column.type
    if isinstance(kind, JSON):
        return {}
    if isinstance(kind, DateTime):
        return datetime(2026, 1, number, tzinfo=UTC)
    if isinstance(kind, Boolean):
        return True
    if isinstance(kind, Integer):
        return number
    if isinstance(kind, Float):
        return number / 2
    return str(number)
