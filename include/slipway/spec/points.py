"""The points of a sweep, made from the deployment file. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from pydantic import ValidationError

from slipway.errors import SpecError
from slipway.spec.explain import explain
from slipway.spec.load import revision_id
from slipway.spec.overrides import BenchmarkOverrides
from slipway.spec.sweep import ARGUMENT, LOADS, SweepSpec
from slipway.spec.types import DeploymentSpec

NOT_MEASURED = (
    *("description", "tags", "preflight", "price_per_gpu_hour", "verdict", "redeploy", "when_busy", "watch", "sweep"),
    *("late_after_s", "pool"),
)
"""Parts of the file that change no figure of a cell."""


@dataclass(frozen=True)
class Point:
    """What is served for once, and the loads that it is measured at. ``settings`` are its keys without the loads.

    ``spec`` is the whole deployment of this point, None where the types refuse it; then ``fault`` says why.
    """

    number: int
    """From 1 on, in the order in which they are tried."""
    settings: Mapping[str, Any]
    spec: DeploymentSpec | None
    fault: str = ""

    @property
    def words(self) -> str:
        """``max-num-seqs=64 backend=mp``"""
        return " ".join(f"{_short(key)}={_shown(value)}" for key, value in self.settings.items()) or "as the file says"

    @property
    def name(self) -> str:
        return f"{self.number}: {self.words}"


@dataclass
class _Asked:
    settings: dict[str, Any]
    users: list[int] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    as_the_file: bool = False

    def load(self, point: Mapping[str, Any]) -> None:
        users, rate = (point.get(key) for key in LOADS)
        for values, value in ((self.users, users), (self.rates, rate)):
            if value is not None and value not in values:
                values.append(value)
        self.as_the_file = self.as_the_file or (users is None and rate is None)


def points(spec: DeploymentSpec) -> list[Point]:
    """Every point of ``spec.sweep``, the grid's first. Raises SpecError where the file has none."""
    if spec.sweep is None:
        raise SpecError(f"{spec.name}: nothing to sweep", hint="give `sweep.grid` or `sweep.points` in file or conf")
    merged: dict[str, _Asked] = {}
    for point in _combinations(spec.sweep):
        settings = {key: value for key, value in point.items() if key not in LOADS}
        merged.setdefault(json.dumps(settings, sort_keys=True), _Asked(settings)).load(point)
    return [_point(spec, number, asked) for number, asked in enumerate(merged.values(), 1)]


def point_named(spec: DeploymentSpec, name: str) -> Point:
    """Raises SpecError where no point bears this name."""
    for point in points(spec):
        if point.name == name:
            return point
    raise SpecError(f"no point {name!r} in this revision", hint="clear the resolve task of this run")


def point_digest(spec: DeploymentSpec, lock: str) -> str:
    """12 hexadecimal digits, equal for specs whose cells of one load are measurements of the same thing."""
    fields = DeploymentSpec.model_fields
    plain = {name: fields[name].get_default(call_default_factory=True) for name in NOT_MEASURED}
    benchmark = spec.benchmark.model_copy(update={"levels": (), "schedule": None, "timezone": "UTC"})
    return revision_id(spec.model_copy(update={**plain, "benchmark": benchmark}), lock)


def _combinations(sweep: SweepSpec) -> Iterator[Mapping[str, Any]]:
    if sweep.grid:
        for values in product(*sweep.grid.values()):
            yield dict(zip(sweep.grid, values, strict=True))
    yield from sweep.points


def _point(spec: DeploymentSpec, number: int, asked: _Asked) -> Point:
    data = spec.model_dump(mode="json")
    data["sweep"] = data["watch"] = None
    for key, value in asked.settings.items():
        _set(data["serve"], key.removeprefix("serve."), value)
    try:
        served = DeploymentSpec.model_validate_json(json.dumps(data))
        return Point(number, asked.settings, _loaded(served, asked))
    except ValidationError as error:
        return Point(number, asked.settings, None, explain(error, DeploymentSpec, "point"))


def _loaded(spec: DeploymentSpec, asked: _Asked) -> DeploymentSpec:
    """With the point's own loads, and the file's where the point is asked for without one, too."""
    users, rates = asked.users, asked.rates
    if asked.as_the_file:
        levels = spec.benchmark.levels
        users = [*(level.users for level in levels if level.users), *users]
        rates = [*(level.rate for level in levels if level.rate), *rates]
    shapes: dict[str, list[str]] = {} if asked.as_the_file else {"shapes": []}
    given = {"users": list(dict.fromkeys(users)), "rates": list(dict.fromkeys(rates)), **shapes}
    return BenchmarkOverrides.model_validate_json(json.dumps(given)).apply(spec)


def _set(serve: dict[str, Any], key: str, value: Any) -> None:
    """``args.NAME`` and ``env.NAME`` are one key below; the name itself may hold dots."""
    part, dot, name = key.partition(".")
    if dot:
        serve[part][name] = value
    else:
        serve[part] = value


def _short(key: str) -> str:
    return key.removeprefix(ARGUMENT).removeprefix("serve.").removeprefix("env.")


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
