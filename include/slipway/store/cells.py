"""Cells: what each load level gave."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from slipway.errors import StoreError
from slipway.results import Distribution, Goodput, Histogram, Measurement, Validity
from slipway.store.database import Database, existing
from slipway.store.models import CellRow, RunRow
from slipway.store.records import Cell

TURNED = (
    *("started_at", "validity", "reasons", "errors", "client", "server"),
    *("scheduled", "histograms", "goodput", "gpu", "series", "repeats"),
)
KEPT = tuple(column.name for column in fields(Measurement) if column.name not in TURNED)
"""Fields of a measurement that are columns as they are."""

LOAD = (CellRow.users, CellRow.rate, CellRow.shape)
"""Of two cells of a run at least one of these differs."""


class Cells(Database):
    """Measurements in, cells out."""

    def record_cell(self, run_id: int, measurement: Measurement, artifacts: str, try_number: int = 1) -> int:
        """Keep what one load level gave and give the cell's id. A second measurement of the level takes its place.

        The start of the window is kept to the microsecond, every other figure exactly. Raises :class:`StoreError` for a
        figure that is no finite number, and for a run without a revision.
        """
        _refuse_infinite(measurement)
        with self._writing() as session:
            run = existing(session, RunRow, run_id, lock=True)
            if run.revision_id is None:
                raise StoreError(f"run {run_id} has no revision", hint="begin it with the revision that it measures")
            load = [column == getattr(measurement, column.key) for column in LOAD]
            row = session.scalar(select(CellRow).where(CellRow.run_id == run_id, *load)) or CellRow(run_id=run_id)
            row.deployment, row.revision_id = run.deployment, run.revision_id
            row.artifacts, row.try_number = artifacts, try_number
            _fill(row, measurement)
            session.add(row)
            session.flush()
            return row.id

    def cells(self, run_id: int) -> list[Cell]:
        """The cells of a run by load. Those of a revision that the run had before it was cleared are left out."""
        of_run = select(CellRow).join(RunRow, RunRow.id == CellRow.run_id).where(RunRow.id == run_id)
        with self._reading() as session:
            rows = session.scalars(of_run.where(CellRow.revision_id == RunRow.revision_id).order_by(*LOAD))
            return [cell_of(row) for row in rows]


def _fill(row: CellRow, measurement: Measurement) -> None:
    for name in KEPT:
        setattr(row, name, getattr(measurement, name))
    row.started_at = datetime.fromtimestamp(measurement.started_at, UTC)
    row.validity, row.reasons = measurement.validity, list(measurement.reasons)
    row.errors, row.client, row.server = dict(measurement.errors), dict(measurement.client), dict(measurement.server)
    row.histograms = {name: asdict(each) for name, each in measurement.histograms.items()}
    row.scheduled = {name: asdict(each) for name, each in measurement.scheduled.items()}
    row.repeats = {name: list(each) for name, each in measurement.repeats.items()}
    row.goodput = asdict(measurement.goodput) if measurement.goodput else None
    row.gpu, row.series = dict(measurement.gpu), {name: dict(each) for name, each in measurement.series.items()}


def cell_of(row: CellRow) -> Cell:
    """The record of a row."""
    measurement = Measurement(
        **{name: getattr(row, name) for name in KEPT},
        started_at=row.started_at.timestamp(),
        validity=Validity(row.validity),
        reasons=tuple(row.reasons),
        errors=row.errors,
        client=row.client,
        server=row.server,
        histograms={
            name: Histogram(each["first"], tuple(each["counts"])) for name, each in (row.histograms or {}).items()
        },
        scheduled={name: Distribution(**each) for name, each in (row.scheduled or {}).items()},
        goodput=Goodput(**row.goodput) if row.goodput else None,
        gpu=row.gpu or {},
        series=row.series or {},
        repeats=row.repeats or {},
    )
    return Cell(row.id, row.run_id, row.deployment, row.revision_id, measurement, row.artifacts, row.try_number)


def _refuse_infinite(measurement: Measurement) -> None:
    wrong = [name for name, value in _figures(measurement) if not math.isfinite(value)]
    if wrong:
        names = ", ".join(wrong)
        raise StoreError(f"{measurement.load}: not a finite number: {names}", hint="measure the level again")


def _figures(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    if is_dataclass(value):
        for part in fields(value):
            yield from _figures(getattr(value, part.name), f"{name}.{part.name}")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _figures(inner, f"{name}.{key}")
    elif isinstance(value, float):
        yield name.lstrip("."), value
