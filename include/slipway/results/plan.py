"""What one cell of a load test asks for: read by the load generator, and again by whoever judges its rows."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from slipway.errors import LoadTestFailed
from slipway.results.goodput import Slo
from slipway.results.shape import Step, mean

PLAN_FILE = "plan.json"
"""A plan's name in the folder of its cell."""

DRAIN_S = 30.0
"""How long answers that are under way at the end of the window may still take before they are cut."""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """A file of requests with their times, in ``unit``; they come ``speed`` times as fast as they did."""

    file: str
    unit: Literal["ms", "s"] = "ms"
    speed: Annotated[float, Field(gt=0)] = 1.0


@dataclass(frozen=True, kw_only=True)
class LoadPlan:
    """One cell: ``users`` who ask again as soon as they were answered, or requests at a ``rate`` that wait for nobody.

    The first is a closed loop, the second an open one; ``arrivals`` says how its requests are spaced. The measured
    window of ``seconds`` begins ``warmup_s`` after all users are there. Durations are seconds. With ``steps`` the load
    changes inside the window, and ``users`` or ``rate`` is its highest; a ``trace`` stands for both, and its prompts
    bring the times at which they are due. ``shape`` says either in words.
    An ``https`` server must prove itself by the certificates in ``ca_file``, else by the system's.
    ``api_key_env`` names the variable that holds the server's key; the key itself is never written. ``slo`` and
    ``price_per_hour``, of all GPUs of the deployment, are for whoever measures the cell. ``dataset`` is a file
    of conversations or prompts to ask instead of synthetic ones, ``prompts_file`` one of prompts that are ready.
    ``workers`` are those of the ``processes`` that run on other hosts, by the host's name; they reach the conducting
    one at ``master``, an address and a port. ``host`` is the other host that a copy of the plan is for.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    base_url: Annotated[str, StringConstraints(pattern=r"^https?://[^/]+")]
    ca_file: str | None = None
    model: str
    endpoint: Literal["chat", "completions"] = "chat"
    prompt_tokens: Annotated[int, Field(ge=1)] = 32
    output_tokens: Annotated[int, Field(ge=1)] = 64
    ignore_eos: bool = True
    temperature: Annotated[float, Field(ge=0)] = 0.0
    request_timeout_s: Annotated[float, Field(gt=0)] = 600.0
    users: Annotated[int, Field(ge=0)] = 0
    rate: Annotated[float, Field(ge=0)] = 0.0
    arrivals: Literal["poisson", "constant"] = "poisson"
    steps: tuple[Step, ...] = ()
    trace: Trace | None = None
    shape: str = ""
    spawn_rate: Annotated[float, Field(gt=0)] = 10.0
    processes: Annotated[int, Field(ge=1)] = 1
    workers: dict[str, Annotated[int, Field(ge=1)]] = field(default_factory=dict)
    master: tuple[str, Annotated[int, Field(ge=1, le=65535)]] | None = None
    host: str = ""
    seconds: Annotated[float, Field(gt=0)]
    warmup_s: Annotated[float, Field(ge=0)] = 5.0
    folder: str
    prompts_file: str | None = None
    dataset: str | None = None
    shared_prefix_tokens: Annotated[int, Field(ge=0)] = 0
    api_key_env: str | None = None
    seed: int | None = None
    slo: Slo = field(default_factory=Slo)
    price_per_hour: Annotated[float, Field(gt=0)] | None = None

    def __post_init__(self) -> None:
        if bool(self.users) + bool(self.rate) + bool(self.trace) != 1:
            raise ValueError("give either `users` or `rate`, or a `trace`")
        if self.shared_prefix_tokens and self.shared_prefix_tokens >= self.prompt_tokens:
            raise ValueError("`shared_prefix_tokens` must be fewer than `prompt_tokens`")
        if self.own_processes < 1 or bool(self.workers) != bool(self.master):
            raise ValueError("`workers` are some of the `processes`, not all, and need `master`")

    @property
    def own_processes(self) -> int:
        """Load processes on the machine that conducts the cell."""
        return self.processes - sum(self.workers.values())

    @property
    def locust_users(self) -> int:
        """Users as Locust counts them: in an open loop one a process, who makes all its requests."""
        return self.users or self.processes

    @property
    def users_mean(self) -> float:
        """How many users ask in the mean of the window; 0 in an open loop."""
        return mean(self.steps) if self.users and self.steps else float(self.users)

    @property
    def timeline(self) -> tuple[Step, ...]:
        """The load from the begin of the warm-up to the end of the window; of a trace, nothing."""
        load = self.users or self.rate
        steps = self.steps or ((Step(first=load, last=load, seconds=self.seconds),) if load else ())
        if not (steps and self.warmup_s):
            return steps
        return (Step(first=steps[0].first, last=steps[0].first, seconds=self.warmup_s), *steps)

    @property
    def prompts_path(self) -> Path:
        """The prompts of the cell: ``prompts_file``, or those that were made for it in its folder."""
        return Path(self.prompts_file or Path(self.folder, "prompts.jsonl"))

    @property
    def drain_s(self) -> float:
        return min(DRAIN_S, self.request_timeout_s)

    @property
    def longest_s(self) -> float:
        """How long the cell takes at most, the start of its processes apart."""
        return self.users / self.spawn_rate + self.warmup_s + self.seconds + self.drain_s

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True)


_PLAN = TypeAdapter(LoadPlan)


def parse_load_plan(text: str | bytes) -> LoadPlan:
    """The plan in a JSON text. Raises LoadTestFailed, with every wrong field's name."""
    try:
        return _PLAN.validate_json(text)
    except ValidationError as error:
        faults = "\n".join(f"  {'.'.join(map(str, each['loc'])) or 'plan'}: {each['msg']}" for each in error.errors())
        raise LoadTestFailed(f"the load plan is wrong:\n{faults}", hint="correct the plan that was given") from error


def load_load_plan(path: Path) -> LoadPlan:
    """The plan in a file. Raises LoadTestFailed."""
    try:
        return parse_load_plan(path.read_bytes())
    except OSError as error:
        message = f"cannot read the load plan {path}: {error.strerror}"
        raise LoadTestFailed(message, hint="the step before writes it; look at its log") from error
