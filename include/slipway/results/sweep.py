"""What a sweep found: its table, the best cell under limits, and the front of throughput against latency. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slipway.results.measurement import Measurement, Validity
from slipway.spec.sweep import SweepLimits, SweepSpec

COLUMNS = ("point", "settings", "load", "tok/s", "req/s", "TTFT p99 ms", "TPOT p50 ms", "E2E p50 ms", "errors", "")
LEFT = (1, 2, 9)
"""Columns of words; the others are of figures."""

FRONT, BEST = "front", "BEST"


@dataclass(frozen=True)
class Row:
    """One cell of a sweep, or what became of it: ``state`` is its point's, ``cause`` why that failed."""

    number: int
    words: str
    """The settings of its point."""
    load: str
    state: str
    cause: str = ""
    cell: Measurement | None = None

    @property
    def believed(self) -> bool:
        return self.cell is not None and self.cell.validity is not Validity.INVALID

    @property
    def place(self) -> str:
        return f"point {self.number} ({self.words}) at {self.load}"


def chosen(cells: Sequence[Measurement]) -> dict[str, Measurement]:
    """By load the cell that counts, of all that were measured, newest first: one that is invalid only for want of
    another."""
    found: dict[str, Measurement] = {}
    for cell in cells:
        known = found.get(cell.load)
        if known is None or (known.validity is Validity.INVALID and cell.validity is not Validity.INVALID):
            found[cell.load] = cell
    return found


def figure(cell: Measurement, name: str) -> float | None:
    """A cell's figure by its name in the file: a rate, or ``ttft_p99_s``; None where the cell has none."""
    if name == "goodput_per_s":
        return cell.goodput.requests_per_s if cell.goodput else None
    if name.endswith("_per_s"):
        return float(getattr(cell, name))
    metric, part, _ = name.split("_")
    distribution = getattr(cell, metric)
    return float(getattr(distribution, part)) if distribution else None


def broken(cell: Measurement, limits: SweepLimits) -> list[str]:
    """The limits that a cell does not keep, in words. A latency that it cannot state is not kept."""
    found = []
    for name, limit in limits.model_dump(exclude={"errors"}, exclude_none=True).items():
        value = figure(cell, name)
        if value is None or value > limit:
            found.append(f"{name} {'unknown' if value is None else f'{value:.3f}'} > {limit:g}")
    if (errors := sum(cell.errors.values())) > limits.errors:
        found.append(f"errors {errors} > {limits.errors}")
    return found


def best(rows: Sequence[Row], sweep: SweepSpec) -> Row | None:
    """The row with the best objective of those that may be believed and keep all limits; of equal ones the first."""
    sign = 1 if sweep.objective.endswith("_per_s") else -1
    fit = [
        (sign * value, row)
        for row in rows
        if row.cell and row.believed and not broken(row.cell, sweep.limits)
        if (value := figure(row.cell, sweep.objective)) is not None
    ]
    return max(fit, key=lambda each: each[0])[1] if fit else None


def front(rows: Sequence[Row], rate: str, latency: str) -> list[Row]:
    """The Pareto front by rising latency: no other row has more of the rate at no more latency, or less latency at no
    less of the rate."""
    known = [
        (late, -much, row)
        for row in rows
        if row.cell and row.believed
        if (late := figure(row.cell, latency)) is not None and (much := figure(row.cell, rate)) is not None
    ]
    found: list[Row] = []
    most = 0.0
    for _, less, row in sorted(known, key=lambda each: each[:2]):
        if -less > most:
            found.append(row)
            most = -less
    return found


def throughput(sweep: SweepSpec) -> str:
    """The rate that the front is of."""
    return sweep.objective if sweep.objective.endswith("_per_s") else "output_tokens_per_s"


def summary(rows: Sequence[Row], sweep: SweepSpec) -> dict[str, Any]:
    """As JSON keeps it: the best cell, the front, and how many cells and points there are."""
    top, rate = best(rows, sweep), throughput(sweep)
    edge = [_placed(row, rate, sweep.latency) for row in front(rows, rate, sweep.latency)]
    counted = {"cells": len(rows), "measured": sum(row.cell is not None for row in rows)}
    failed = {str(row.number): row.cause for row in rows if row.state == "failed"}
    return {
        **counted,
        "failed": failed,
        "objective": sweep.objective,
        "best": _placed(top, sweep.objective) if top else None,
        "front": edge,
    }


def _placed(row: Row, *names: str) -> dict[str, Any]:
    figures = {name: figure(row.cell, name) for name in names} if row.cell else {}
    return {"point": row.number, "settings": row.words, "load": row.load, **figures}


def told(rows: Sequence[Row], sweep: SweepSpec) -> Iterator[str]:
    """The table as aligned lines, then the best cell, the front, and why points failed."""
    top, edge = best(rows, sweep), front(rows, throughput(sweep), sweep.latency)
    marks = {id(row): FRONT for row in edge} | ({id(top): BEST} if top else {})
    yield from _aligned([COLUMNS, *(_cells(row, marks.get(id(row), ""), sweep) for row in rows)])
    yield _best_told(rows, top, sweep)
    yield f"front of {throughput(sweep)} against {sweep.latency}:" + ("" if edge else " no cell that may be believed")
    for row in edge:
        values = [f"{name} {figure(row.cell, name):.4g}" for name in (throughput(sweep), sweep.latency) if row.cell]
        yield f"  {row.place}: {', '.join(values)}"
    for number, cause in {row.number: row.cause for row in rows if row.cause}.items():
        yield f"point {number} failed: {cause}"


def _best_told(rows: Sequence[Row], top: Row | None, sweep: SweepSpec) -> str:
    if top is None or top.cell is None:
        measured = sum(row.believed for row in rows)
        return f"best by {sweep.objective}: none, of {measured} cells that may be believed none keeps the limits"
    return f"best by {sweep.objective}: {top.place}, {figure(top.cell, sweep.objective):.4g}"


def _cells(row: Row, mark: str, sweep: SweepSpec) -> tuple[str, ...]:
    known = (str(row.number), row.words, row.load)
    if row.cell is None:
        return (*known, *[""] * 6, {"failed": "FAILED", "": "not tried"}.get(row.state, "not measured"))
    cell, wrong = row.cell, [] if not row.believed else broken(row.cell, sweep.limits)
    said = [mark, "" if cell.validity is Validity.VALID else cell.validity.value, *wrong]
    latencies = (_ms(cell, name) for name in ("ttft_p99_s", "tpot_p50_s", "e2e_p50_s"))
    rates = (f"{cell.output_tokens_per_s:.1f}", f"{cell.requests_per_s:.2f}")
    return (*known, *rates, *latencies, str(sum(cell.errors.values())), ", ".join(each for each in said if each))


def _ms(cell: Measurement, name: str) -> str:
    value = figure(cell, name)
    return "none" if value is None else f"{1000 * value:.0f}"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    for row in rows:
        cells = [
            each.ljust(width) if column in LEFT else each.rjust(width)
            for column, (each, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def counted(rows: Sequence[Row]) -> str:
    """``4 points, 7 of 8 cells measured, 1 point failed``"""
    states: Mapping[int, str] = {row.number: row.state for row in rows}
    measured = sum(row.cell is not None for row in rows)
    failed = sum(state == "failed" for state in states.values())
    said = f"{len(states)} points, {measured} of {len(rows)} cells measured"
    return f"{said}, {failed} {'point' if failed == 1 else 'points'} failed" if failed else said
