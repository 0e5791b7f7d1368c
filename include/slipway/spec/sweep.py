"""The part of the deployment file that says what a sweep tries, and what is best."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from slipway.spec.part import Argument, Part
from slipway.spec.serving import refusal

ARGUMENT = "serve.args."
LOADS = ("benchmark.users", "benchmark.rate")
"""Keys of a point that say how it is loaded, not what is served."""

KEY = (
    r"^(serve\.(backend|tensor_parallel|pipeline_parallel|args\.[a-z][a-z0-9.-]*|env\.[A-Z][A-Z0-9_]*)"
    r"|benchmark\.(users|rate))$"
)
MOST_POINTS = 256


def _key(value: str) -> str:
    if not re.fullmatch(KEY, value):
        known = "serve.args.NAME, serve.env.NAME, serve.backend, serve.tensor_parallel, serve.pipeline_parallel"
        raise ValueError(f"{value!r} cannot be swept; known: {known}, {', '.join(LOADS)}")
    return value


def _in_one_order(keys: dict[str, Any]) -> dict[str, Any]:
    """A revision is the same in whatever order its keys stand, so its points have the same numbers and names, too."""
    return dict(sorted(keys.items()))


SweepKey = Annotated[str, AfterValidator(_key)]
Settings = Annotated[dict[SweepKey, Argument], AfterValidator(_in_one_order)]
Values = Annotated[tuple[Argument, ...], Field(min_length=1)]
Grid = Annotated[dict[SweepKey, Values], AfterValidator(_in_one_order)]

Rate = Literal["output_tokens_per_s", "requests_per_s", "goodput_per_s"]
Latency = Literal["ttft_p50_s", "ttft_p99_s", "tpot_p50_s", "tpot_p99_s", "itl_p99_s", "e2e_p50_s", "e2e_p99_s"]


class SweepLimits(Part):
    """What the best cell must keep. A limit that is left out is kept by all."""

    ttft_p99_s: float | None = Field(default=None, gt=0, strict=False)
    """The longest time to the first token, at p99."""
    tpot_p99_s: float | None = Field(default=None, gt=0, strict=False)
    """The longest time per output token after the first, at p99."""
    itl_p99_s: float | None = Field(default=None, gt=0, strict=False)
    """The longest time between two tokens, at p99."""
    e2e_p99_s: float | None = Field(default=None, gt=0, strict=False)
    """The longest time to the last token, at p99."""
    errors: int = Field(default=0, ge=0)
    """The most requests of a cell that may fail."""


class SweepSpec(Part):
    """What `<name>.sweep` tries: points over the file, each served, proved by smoke, and measured at its loads.

    A point is a set of keys: `serve.args.NAME`, `serve.env.NAME`, `serve.backend`, `serve.tensor_parallel`,
    `serve.pipeline_parallel`, and for its load `benchmark.users` or `benchmark.rate`. Points that differ in their load
    alone are served once. One that gives no load is measured at `benchmark.levels`.
    """

    grid: Grid = Field(default_factory=dict)
    """By key the values to try, each with each: `serve.args.max-num-seqs: [64, 256]`. Tried in
    alphabetical order of the keys, the last one varied fastest."""
    points: tuple[Settings, ...] = ()
    """Further points, each with its own keys and values."""
    objective: Rate | Latency = "output_tokens_per_s"
    """The figure by which a cell is best: the highest rate, or the lowest latency. `goodput_per_s` needs
    `benchmark.slo`."""
    latency: Latency = "tpot_p50_s"
    """The latency against which the front of throughput is drawn."""
    limits: SweepLimits = SweepLimits()
    """What the best cell must keep."""

    @model_validator(mode="after")
    def _arguments(self) -> SweepSpec:
        for key in {*self.grid, *(key for point in self.points for key in point)}:
            if key.startswith(ARGUMENT) and (why := refusal(key.removeprefix(ARGUMENT))):
                raise ValueError(f"{key}: {why}")
        return self

    @model_validator(mode="after")
    def _number(self) -> SweepSpec:
        count = (math.prod(len(values) for values in self.grid.values()) if self.grid else 0) + len(self.points)
        if not 1 <= count <= MOST_POINTS:
            raise ValueError(f"`grid` and `points` make {count} points; 1 to {MOST_POINTS} can be tried")
        return self
