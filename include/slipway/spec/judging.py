"""The parts of the deployment file that say how a server is asked, measured and judged."""

from __future__ import annotations

import hashlib
from pathlib import PurePath
from typing import Literal

from pydantic import Field, model_validator

from slipway.spec.part import Name, Part, Seconds
from slipway.spec.schedule import Cron, Zone


class Question(Part):
    """A question with a known answer."""

    ask: str
    """What the user says."""
    expect: str
    """What the answer must contain, in any case of letters."""


class SmokeSpec(Part):
    """The first questions to a fresh server: does it answer, and sanely?"""

    prompt: str = "Introduce yourself."
    """The prompt of the plain completion."""
    max_tokens: int = Field(default=64, ge=1, le=4096)
    """The longest answer."""
    temperature: float = Field(default=0.0, ge=0.0, le=2.0, strict=False)
    """Sampling temperature; 0 is greedy."""
    question: Question | None = None
    """A question with a known answer; none where the weights are random."""
    timeout_s: Seconds = 120
    """How long each answer may take."""


class StepSpec(Part):
    """A part of a level whose load changes over time."""

    users: int | None = Field(default=None, ge=0, le=100_000)
    """Concurrent users, as long as the step lasts."""
    rate: float | None = Field(default=None, ge=0, le=100_000, strict=False)
    """Requests a second, instead of `users`."""
    to: float | None = Field(default=None, ge=0, le=100_000, strict=False)
    """What `users` or `rate` is at the step's end: a ramp. Left out, it stays as it is."""
    seconds: Seconds
    """How long the step lasts."""

    @model_validator(mode="after")
    def _either(self) -> StepSpec:
        if (self.users is None) == (self.rate is None):
            raise ValueError("give either `users` or `rate`")
        return self

    @property
    def first(self) -> float:
        return float(self.rate if self.users is None else self.users)  # type: ignore[arg-type] # one of them is given

    @property
    def last(self) -> float:
        return self.first if self.to is None else self.to


class TraceSpec(Part):
    """Requests that once were, asked again at their times (an open loop)."""

    file: str = Field(min_length=1)
    """JSON lines on the machine that makes the load, from the folder that holds `include/`: each with a `timestamp`, an
    `input_length` and an `output_length` in tokens, or a `text` of its own instead of `input_length`. What Mooncake
    publishes is such a file; `Request tokens` and `Response tokens`, as BurstGPT calls them, are understood too. The
    first request is due at the begin of the warm-up. Of a long trace the window's length is replayed; with a shorter
    one the window ends."""
    unit: Literal["ms", "s"] = "ms"
    """The unit of `timestamp`."""
    speed: float = Field(default=1.0, gt=0, le=10_000, strict=False)
    """How many times as fast as it was."""


class Level(Part):
    """One load level of the benchmark matrix: `users`, each asking again as soon as it was answered (a closed loop);
    requests at a `rate` that wait for no answer (an open loop); `steps` of either; or the replay of a `trace`."""

    users: int = Field(default=0, ge=0, le=100_000)
    """Concurrent users."""
    rate: float = Field(default=0.0, ge=0, le=100_000, strict=False)
    """Requests a second, instead of `users`."""
    steps: tuple[StepSpec, ...] = Field(default=(), max_length=16)
    """A load that changes: steps and ramps of users or of a rate, one after the other. Together they are the measured
    window; the warm-up has the load with which the first begins."""
    trace: TraceSpec | None = None
    """Requests with times of their own."""
    spawn_rate: float = Field(default=10.0, gt=0, strict=False)
    """Users started a second."""
    processes: int = Field(default=1, ge=1, le=256)
    """Locust processes that share the users, or the rate."""

    @property
    def load(self) -> str:
        """The level in words, which name it: ``50 users``, ``12.5 req/s``, or its shape."""
        return self.shape or (f"{self.users} users" if self.users else f"{self.rate:g} req/s")

    @property
    def shape(self) -> str:
        """``5 req/s for 30 s, 5 to 20 req/s for 60 s``, or ``trace chat.jsonl at 2 times its speed``; else empty."""
        if self.trace:
            return f"trace {PurePath(self.trace.file).name} at {self.trace.speed:g} times its speed"
        unit = "users" if self.closed else "req/s"
        return ", ".join(
            f"{step.first:g}{'' if step.last == step.first else f' to {step.last:g}'} {unit} for {step.seconds:g} s"
            for step in self.steps
        )

    @property
    def slug(self) -> str:
        """The level as part of a file's name: ``users-50``, ``rate-12.5``, ``steps-`` or ``trace-`` with a digest."""
        if not self.shape:
            return f"users-{self.users}" if self.users else f"rate-{self.rate:g}"
        digest = hashlib.sha256(self.shape.encode()).hexdigest()[:8]
        return f"{'trace' if self.trace else 'steps'}-{digest}"

    @property
    def closed(self) -> bool:
        """Whether users make the load, who wait for their answers."""
        return bool(self.users or (self.steps and self.steps[0].users is not None))

    @property
    def peak(self) -> float:
        """The most users, or the highest rate; 0 for a trace."""
        return max([float(self.users), self.rate, *(max(step.first, step.last) for step in self.steps)])

    @model_validator(mode="after")
    def _either(self) -> Level:
        if sum(map(bool, (self.users, self.rate, self.steps, self.trace))) != 1:
            raise ValueError("give either `users` or `rate`, or `steps`, or a `trace`")
        if len({step.users is None for step in self.steps}) > 1:
            raise ValueError("steps: all of `users`, or all of `rate`")
        if self.steps and not self.peak:
            raise ValueError("steps: none of them has any load")
        return self


class SloSpec(Part):
    """What a service promises for each request. A limit that is left out is kept by all."""

    ttft_s: float | None = Field(default=None, gt=0, strict=False)
    """The longest time to the first token."""
    tpot_s: float | None = Field(default=None, gt=0, strict=False)
    """The longest time per output token after the first, as the mean of a request."""
    e2e_s: float | None = Field(default=None, gt=0, strict=False)
    """The longest time to the last token."""
    share: float = Field(default=0.95, gt=0, le=1, strict=False)
    """The part of a level's requests that must keep all limits for `slipway loadtest --search` to call it kept."""

    @model_validator(mode="after")
    def _any_limit(self) -> SloSpec:
        if self.ttft_s is self.tpot_s is self.e2e_s is None:
            raise ValueError("give at least one of `ttft_s`, `tpot_s` and `e2e_s`")
        return self


class LoadWorkerSpec(Part):
    """A further machine that makes load, for more than the machine of the benchmark's task can make."""

    name: Name
    """What it is called in logs and results."""
    connection: str = "local"
    """As for `hosts`: the id of an Airflow `ssh` connection."""
    address: str
    """Its own address on the cluster network, by which the task's machine finds its own: Locust's master listens there,
    at port `ray.ports.block` + 8, while a level is measured."""
    processes: int = Field(default=1, ge=1, le=256)
    """Locust processes there, at every level, beside the level's own `processes` on the task's machine."""
    python: str = "python3.11"
    """The interpreter there that makes the environment with Locust, for whose version its pins were resolved. It is
    made once below `root`, from `environment.wheelhouse` where the file has one."""
    existing: str | None = None
    """Path of an interpreter there instead, whose environment has Locust in the same version: never changed."""


class BenchmarkSpec(Part):
    """The load test. Each level is one cell of the result."""

    levels: tuple[Level, ...] = Field(min_length=1, max_length=64)
    """Load levels, run one after the other."""
    seconds: Seconds = 180
    """How long each level is measured, warm-up apart."""
    warmup_s: int = Field(default=5, ge=0, le=600)
    """How long each level runs before it is measured, from the moment that all users are there."""
    arrivals: Literal["poisson", "constant"] = "poisson"
    """How the requests of a `rate` are spaced: at random, as from many people who do not know of each other, or
    evenly."""
    repeats: int = Field(default=1, ge=1, le=20)
    """How many times each level is measured, one after the other. The one with the median of the output tokens a second
    is the cell, and states the figures of all."""
    endpoint: Literal["chat", "completions"] = "chat"
    """Which API is asked: /v1/chat/completions or /v1/completions."""
    prompt_tokens: int = Field(default=32, ge=1, le=1_000_000)
    """Length of each synthetic prompt, in tokens of the model's own tokenizer."""
    output_tokens: int = Field(default=64, ge=1, le=1_000_000)
    """The longest answer."""
    ignore_eos: bool = True
    """Make every answer exactly `output_tokens` long."""
    temperature: float = Field(default=0.0, ge=0.0, le=2.0, strict=False)
    """Sampling temperature; 0 is greedy."""
    request_timeout_s: Seconds = 600
    """How long one request may take."""
    dataset: str | None = None
    """A file of prompts to ask instead of synthetic ones, on the machine that makes the load, from the folder that
    holds `include/`: JSON lines or a JSON list of ShareGPT's `conversations`, of `messages`, or of a `prompt`. What the
    user says first is asked."""
    url: str | None = Field(default=None, pattern=r"^https?://[^\s/@]+(/[^\s@]*)?$")
    """Where the load test asks, if not at the server itself: a gateway or a router in front of it. `https` is checked
    against `ca_file`."""
    ca_file: str | None = None
    """For an `https` address: the certificates of the authorities that are trusted, a PEM file on the machine that
    makes the load, from the folder that holds `include/`. Left out, those of that machine's system."""
    shared_prefix_tokens: int = Field(default=0, ge=0, le=1_000_000)
    """How many tokens at the beginning of each synthetic prompt all prompts of a level share."""
    queue: str | None = Field(default=None, min_length=1, max_length=250)
    """Airflow's queue of the tasks that make load: with the CeleryExecutor, only workers that take from it make load,
    and so on machines of their own. By default the queue of all tasks."""
    workers: tuple[LoadWorkerSpec, ...] = Field(default=(), max_length=64)
    """Other machines that make load too, over SSH. Each shares the users, or the rate, with all other processes; they
    must reach the server's address. Only runs that measure hold them."""
    slo: SloSpec | None = None
    """Limits for each request: with them each cell states its goodput, the requests that kept all of them."""

    schedule: Cron | None = None
    """When `<name>.benchmark` runs by itself on what is deployed, as cron's five fields: `30 2 * * *` for every night.
    It is skipped where nothing is deployed, or another run holds a host; missed runs are not made up for."""
    timezone: Zone = "UTC"
    """The time zone of `schedule`, by its IANA name."""

    @model_validator(mode="after")
    def _prefix_fits(self) -> BenchmarkSpec:
        if self.shared_prefix_tokens and (self.dataset or self.shared_prefix_tokens >= self.prompt_tokens):
            raise ValueError("`shared_prefix_tokens` must be fewer than `prompt_tokens`, and not beside `dataset`")
        return self

    @model_validator(mode="after")
    def _certificates_fit(self) -> BenchmarkSpec:
        if self.ca_file and not (self.url or "").startswith("https:"):
            raise ValueError("ca_file: only beside an `https` `url`")
        return self

    @model_validator(mode="after")
    def _levels_differ(self) -> BenchmarkSpec:
        loads = [level.load for level in self.levels]
        if len(set(loads)) != len(loads):
            raise ValueError("two levels have the same load")
        return self

    @model_validator(mode="after")
    def _workers_differ(self) -> BenchmarkSpec:
        names = [worker.name for worker in self.workers]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"workers: name {twice[0]!r} stands twice; each needs its own")
        return self


class LmEvalSpec(Part):
    """A gate by EleutherAI's lm-eval, which the serving environment must have (`lm-eval[api]`).

    After the smoke checks it asks the fresh server its tasks, on the head, by `/v1/completions`. A task that scores too
    low makes the run `worse`, and it fails. A last good revision that is put back is not asked.
    """

    tasks: tuple[str, ...] = Field(min_length=1, max_length=64)
    """Names of tasks, as `lm-eval ls tasks` has them. Their data sets come from where each says, mostly a hub: the head
    must reach it, or have them in its cache."""
    floor: float = Field(gt=0, le=1, strict=False)
    """The least score of each task."""
    metric: str = "acc"
    """The score, as lm-eval's results call it: `acc`, `exact_match`, or with a filter `exact_match,strict-match`."""
    limit: int | None = Field(default=None, ge=1)
    """How many questions of each task are asked, the first ones; all by default."""
    shots: int | None = Field(default=None, ge=0, le=64)
    """How many examples stand before each question; by default as many as the task says."""
    folder: str | None = Field(default=None, pattern=r"^/")
    """A folder on the head with tasks of one's own, beside lm-eval's. They may hold code, which runs there."""
    at_once: int = Field(default=4, ge=1, le=256)
    """How many questions are asked at the same time, each for `smoke.timeout_s` at most."""
    timeout_s: Seconds = 3600
    """How long all of it may take; then it is stopped, and the task has failed."""


class VerdictSpec(Part):
    """When a run counts as better or worse than its own history; a change must also exceed the noise of it."""

    history: int = Field(default=10, ge=3, le=100)
    """How many earlier valid runs are compared with."""
    throughput_percent: float = Field(default=5.0, gt=0, lt=100, strict=False)
    """Output tokens a second: a smaller change than this is `same`."""
    tpot_percent: float = Field(default=5.0, gt=0, lt=100, strict=False)
    """Median time per output token: a smaller change than this is `same`."""
    goodput_percent: float = Field(default=10.0, gt=0, strict=False)
    """Requests a second that keep `benchmark.slo`, where the file has it: a smaller change than this is `same`."""
    ready_percent: float = Field(default=25.0, gt=0, strict=False)
    """How long the server took to be ready, where the run started it: a smaller change than this is `same`."""
    p99_percent: float = Field(default=25.0, gt=0, strict=False)
    """TTFT and E2E latency at p99: a larger change than this is mentioned, and decides nothing."""
    accuracy_floor: float | None = Field(default=None, gt=0, le=1, strict=False)
    """The least share of right answers to Slipway's own questions, short ones of facts and sums, which are then asked
    after the smoke checks, each with `smoke.max_tokens`. Below it the run is `worse` and fails. None: not asked."""
    lm_eval: LmEvalSpec | None = None
    """Tasks of lm-eval with a floor."""


class WatchSpec(Part):
    """A look at the running server now and then: does the engine still answer, or at least work?"""

    schedule: Cron | None = None
    """When `<name>.watch` runs by itself, as cron's five fields: `*/5 * * * *` for every five minutes. It is skipped
    where nothing is deployed, or a run holds a host."""
    timezone: Zone = "UTC"
    """The time zone of `schedule`, by its IANA name."""
    restart: bool = False
    """Whether a server that has ended, hangs, or answers no completion is stopped and started again, as it was."""


class RedeploySpec(Part):
    """What becomes of a new revision, and of the one that it replaces.

    The last good revision is the one that was promoted last; a teardown forgets it. Where there is none, as at the
    first deploy, there is nothing to put back: what runs is left as the run left it, and no verdict is against it.
    """

    on_failure: Literal["restore", "keep"] = "restore"
    """Where a task fails before the verdict: put the last good revision back, or leave everything as it is, to be
    looked at."""
    on_worse: Literal["restore", "keep"] = "restore"
    """Where the verdict is `worse`: put the last good revision back, or promote the new one all the same."""
    on_invalid: Literal["restore", "keep"] = "keep"
    """Where the verdict is `invalid`, since the figures may not be believed: the same choice."""
    swap: Literal["in_place", "beside"] = "in_place"
    """How one server follows the other: on the same hosts, with a downtime that is measured; or on the spare hosts of
    `beside`, where the new one is started and judged while the old one serves, and traffic moves by a router."""
    promote: Literal["auto", "manual"] = "auto"
    """Who promotes what nothing speaks against: the run itself; or a person, whom Airflow asks under its required
    actions. A no, and no answer in time, put the last good revision back."""
    approve_within_s: Seconds = 86400
    """How long that person may take."""
