"""What one run may change of its deployment file: the trigger form of the DAGs, and the conf of the REST API."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import Field

from slipway.errors import SpecError
from slipway.spec.part import Argument, ArgumentName, Part, Seconds
from slipway.spec.sweep import Settings, SweepKey
from slipway.spec.types import DeploymentSpec

SPAWN_SECONDS = 5
"""How long the users of a level take to start, where the file does not say."""


class BenchmarkOverrides(Part):
    """The conf of a benchmark run. What is left out stays as the deployment file says."""

    users: list[Annotated[int, Field(ge=1, le=100_000)]] | None = Field(default=None, max_length=64)
    """Load levels, as numbers of users. A level that the file has keeps its spawn rate and processes; one that it lacks
    starts all users within five seconds, in one process."""
    rates: list[float] | None = Field(default=None, max_length=64)
    """Load levels, as requests a second. A level that the file has keeps its processes; one that it lacks has one."""
    shapes: list[str] | None = Field(default=None, max_length=64)
    """Load levels with `steps` or a `trace`: those of the file, each named by its load. Empty: none."""
    seconds: Seconds | None = None
    """How long each level is measured; one with steps lasts as long as they do."""
    prompt_tokens: int | None = Field(default=None, ge=1, le=1_000_000)
    """Length of each prompt in tokens."""
    output_tokens: int | None = Field(default=None, ge=1, le=1_000_000)
    """The longest answer in tokens."""
    reason: str = Field(default="", max_length=500)
    """Why this run: kept with its result."""

    def apply(self, spec: DeploymentSpec) -> DeploymentSpec:
        """The file with this run's changes, checked as a whole; ``reason`` is no part of it."""
        data = spec.model_dump(mode="json")
        self._change(data)
        shaped = {level.shape: level.model_dump(mode="json") for level in spec.benchmark.levels if level.shape}
        wanted = shaped if self.shapes is None else self.shapes
        data["benchmark"]["levels"] += [_shaped(shaped, shape) for shape in wanted]
        return DeploymentSpec.model_validate_json(json.dumps(data))

    def _change(self, data: dict[str, Any]) -> None:
        benchmark = data["benchmark"]
        for name in ("seconds", "prompt_tokens", "output_tokens"):
            if getattr(self, name) is not None:
                benchmark[name] = getattr(self, name)
        levels = benchmark["levels"]
        of_users, of_rates = ({level[name]: level for level in levels if level[name]} for name in ("users", "rate"))
        benchmark["levels"] = [
            *(of_users.get(users) or _level(users) for users in (of_users if self.users is None else self.users)),
            *(of_rates.get(rate, {"rate": rate}) for rate in (of_rates if self.rates is None else self.rates)),
        ]


def _shaped(of_file: dict[str, dict[str, Any]], shape: str) -> dict[str, Any]:
    if shape not in of_file:
        known = "; ".join(of_file) or "none"
        raise SpecError(f"conf: shapes: the file has no level {shape!r}", hint=f"it has {known}")
    return of_file[shape]


def _level(users: int) -> dict[str, float]:
    return {"users": users, "spawn_rate": max(1.0, users / SPAWN_SECONDS)}


class DeployOverrides(BenchmarkOverrides):
    """The conf of a deploy run. What is left out stays as the deployment file says."""

    serve_args: dict[ArgumentName, Argument] | None = None
    """Arguments of `vllm serve` over those of the file, by long name without dashes. Empty: none."""

    revision: str = Field(default="", pattern="^([0-9a-f]{12})?$")
    """An earlier revision of this deployment, to be deployed again instead of the file, with its own lock file. What
    else is given here is applied to it. Empty: the file as it is now."""

    def _change(self, data: dict[str, Any]) -> None:
        super()._change(data)
        data["serve"]["args"].update(self.serve_args or {})


class SweepOverrides(BenchmarkOverrides):
    """The conf of a sweep. What is left out stays as the deployment file says; `users` and `rates` are for points that
    give no load."""

    grid: dict[SweepKey, Annotated[list[Argument], Field(min_length=1)]] | None = None
    """By key the values to try, each with each. Where this or `points` is given, neither of the file counts."""
    points: list[Settings] | None = Field(default=None, max_length=256)
    """Points to try, each with its own keys and values."""
    again: bool = False
    """Measure all points, also those that were measured before."""

    def _change(self, data: dict[str, Any]) -> None:
        super()._change(data)
        if self.grid is not None or self.points is not None:
            data["sweep"] = {**(data["sweep"] or {}), "grid": self.grid or {}, "points": self.points or []}


class TeardownOverrides(Part):
    """The conf of a teardown run."""

    reason: str = Field(default="", max_length=500)
    """Why this run: kept with its result."""

    def apply(self, spec: DeploymentSpec) -> DeploymentSpec:
        """The file as it is."""
        return spec


class PreflightOverrides(TeardownOverrides):
    """The conf of a preflight run."""


Overrides = BenchmarkOverrides | DeployOverrides | PreflightOverrides | SweepOverrides | TeardownOverrides
