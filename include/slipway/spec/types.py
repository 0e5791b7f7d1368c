"""The deployment file, as frozen and strict types.

The docstring under each field is its entry in ``docs/deployment-file.md`` and in the JSON schema. Durations are in
seconds.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from slipway.spec.schedule import Cron, Zone

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Port = Annotated[int, Field(ge=1024, le=65535)]
EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$")]
ArgumentName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9.-]*$")]
Argument = bool | int | float | str | list[str] | dict[str, object]
HUB = "hf:"
REPOSITORY = re.compile(r"hf:([A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*)@([0-9a-f]{40})")
Seconds = Annotated[int, Field(ge=1, le=7 * 86400)]

DENIED_ENV = ("LD_PRELOAD", "LD_LIBRARY_PATH", "PATH", "VLLM_SERVER_DEV_MODE", "VLLM_ALLOW_INSECURE_SERIALIZATION")
"""Variables that could load foreign code or open the server; names that begin with PYTHON are denied too."""

OWN_ENV = ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_TOKEN", "VLLM_HOST_IP", "VLLM_API_KEY")
"""Variables that Slipway sets itself, on each host with that host's own value."""

OWN_ARGUMENTS = {
    "model": "weights",
    "served-model-name": "serve.model_name",
    "host": "serve.host",
    "port": "serve.port",
    "tensor-parallel-size": "serve.tensor_parallel",
    "pipeline-parallel-size": "serve.pipeline_parallel",
    "distributed-executor-backend": "serve.backend",
    "nnodes": "serve.backend",
    "node-rank": "serve.backend",
    "master-addr": "serve.backend",
    "master-port": "ray.ports.block",
    "headless": "serve.backend",
    "shutdown-timeout": "serve.drain_s",
    "load-format": "(always safetensors)",
    "api-key": "(never on a command line)",
}
"""vLLM arguments that other fields of the file decide, and which."""

DENIED_ARGUMENTS = {
    "middleware": "it loads code by name",
    "worker-cls": "it loads code by name",
    "worker-extension-cls": "it loads code by name",
    "scheduler-cls": "it loads code by name",
    "logits-processors": "it loads code by name",
    "io-processor-plugin": "it loads code by name",
    "tool-parser-plugin": "it loads code from a file",
    "reasoning-parser-plugin": "it loads code from a file",
    "config": "its file could hold any other argument",
    "allowed-local-media-path": "requests could read files of the host",
    "trust-request-chat-template": "requests could bring templates of their own",
    "hf-token": "a secret must not stand on a command line",
    "uds": "the server must listen on serve.host and serve.port",
    "grpc": "the server must speak HTTP",
}
"""vLLM arguments that are refused, and why."""


ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - compared with, never bound to


class Part(BaseModel):
    """A part of the file: unknown keys are errors, and nothing can be changed after it was read."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class HostSpec(Part):
    """One machine of the deployment. The first of the list is the head: Ray's head and vLLM's API server run there."""

    name: Name
    """What this host is called in logs, plans and results."""
    connection: str = "local"
    """`local` for the machine that Airflow's task runs on, or the id of an Airflow `ssh` connection."""
    address: str
    """The host's own address on the cluster network: Ray's node address and VLLM_HOST_IP. For a single machine apart
    from any network, 127.0.0.2: Ray takes 127.0.0.1 for the machine's first other address."""
    gpus: int = Field(default=1, ge=0, le=64)
    """How many GPUs Ray must find on this host; in rehearsal, how many it is told to claim."""
    env: dict[EnvName, str] = Field(default_factory=dict)
    """Variables for every process on this host alone, over those of `env` for all."""


class EnvironmentSpec(Part):
    """The Python environment that serves, apart from Airflow's. Made once for each lock file and reused."""

    lock: Name | None = None
    """A locked requirement file in `include/environments/`, by its name without `.txt`. Not with `existing`."""
    existing: str | None = None
    """Path of a Python interpreter on each host whose environment somebody else made: adopted, never changed."""
    python: str = "python3"
    """The interpreter on each host that makes the environment; the lock file was resolved for its version."""
    fallback_indexes: tuple[str, ...] = ()
    """Package indexes that are tried only when those of the host's own pip configuration lack a pin."""
    wheelhouse: str | None = None
    """A folder of wheels on each host that replaces every index (sites without a network)."""
    timeout_s: Seconds = 3600
    """How long making the environment may take."""

    @model_validator(mode="after")
    def _one_origin(self) -> EnvironmentSpec:
        if (self.lock is None) == (self.existing is None):
            raise ValueError("give exactly one of `lock` and `existing`")
        return self


class WeightsSpec(Part):
    """Where the model comes from, and whether it is copied to each host before it is served."""

    source: str
    """The model's folder as each host sees it: shared storage, or a disk. Or a Hugging Face repository at a pinned
    commit, as `hf:org/name@<40 hex digits>`, which each host downloads with the serving environment's
    `huggingface_hub`."""
    name: Name
    """What the model is called in each host's model store."""
    stage: bool | Literal["auto"] = True
    """Copy into the host's model store, checked on the way; `false` serves from the source itself. `auto` measures
    storage and disk on each host for some seconds, says how long a load from each would take, and copies where the
    disk is the quicker one on the slowest host."""
    timeout_s: Seconds = 4 * 3600
    """How long staging may take."""
    limit_bytes_per_s: int | None = Field(default=None, ge=1 << 20)
    """The most that each host reads from the source while it stages, for storage that others use too; no limit by
    default."""
    allow_pickle: tuple[str, ...] = ()
    """Pickle files that may be part of the model, by their path below `source`. Any other is refused: a pickle can run
    code when it is loaded. vLLM loads the weights from safetensors alone in any case."""
    prune: bool = False
    """Where space in a host's model store is too short to stage, remove versions that nothing uses there, the least
    recently used first, of this model and others. What a server uses is never removed."""
    token_file: str | None = None
    """For a repository that needs one: a file on each host with the hub's token, which its owner alone may read
    (mode 0600). The token itself stands in no file of ours and on no command line."""
    hub_endpoint: str | None = Field(default=None, pattern=r"^https?://[^\s@]+$")
    """The hub's address, where it is not Hugging Face's own: a mirror."""

    @property
    def repository(self) -> tuple[str, str] | None:
        """The hub's repository and the commit; None where the source is a folder."""
        found = REPOSITORY.fullmatch(self.source)
        return (found[1], found[2]) if found else None

    @model_validator(mode="after")
    def _one_kind_of_source(self) -> WeightsSpec:
        if self.source.startswith(HUB) and not self.repository:
            raise ValueError("source: a repository is named `hf:org/name@commit`, with all 40 hex digits of the commit")
        if self.repository and self.stage is not True:
            raise ValueError("stage: a repository has no folder to serve from; leave it `true`")
        if self.repository and self.limit_bytes_per_s:
            raise ValueError("limit_bytes_per_s: not for a repository, whose client knows no limit")
        if self.repository and self.prune:
            raise ValueError("prune: not for a repository, whose size only the hub knows; use `slipway weights prune`")
        if not self.repository and (self.token_file or self.hub_endpoint):
            raise ValueError("token_file, hub_endpoint: only for a source `hf:org/name@commit`")
        return self


class PreflightSpec(Part):
    """The look at the hosts before anything is started; it is the first stage of a deploy, and a DAG of its own."""

    schedule: Cron | None = None
    """When `<name>.preflight` runs by itself, as cron's five fields: `30 2 * * *` for every night. Runs that were
    missed are not made up for."""
    timezone: Zone = "UTC"
    """The time zone of `schedule`, by its IANA name."""


class RayPorts(Part):
    """All ports of the Ray cluster, pinned: the same on each host."""

    gcs: Port = 6379
    """The head's port (GCS), which workers and vLLM connect to."""
    dashboard: Port = 8265
    """Ray's dashboard on the head."""
    block: Port = 20000
    """First of the ten ports for Ray's other services on each host."""
    workers: Port = 20100
    """First port for Ray's worker processes."""
    workers_count: int = Field(default=200, ge=32, le=10000)
    """How many ports Ray's worker processes may take, from `workers` on."""

    @model_validator(mode="after")
    def _no_overlap(self) -> RayPorts:
        worker_ports = range(self.workers, self.workers + self.workers_count)
        fixed = [self.gcs, self.dashboard, *range(self.block, self.block + 10)]
        clashing = sorted(port for port in fixed if port in worker_ports)
        if clashing or len(set(fixed)) != len(fixed):
            raise ValueError(f"Ray's ports overlap: {clashing or fixed}; move `gcs`, `dashboard`, `block` or `workers`")
        if worker_ports[-1] > 65535:
            raise ValueError("`workers` + `workers_count` goes past port 65535")
        return self


class RaySpec(Part):
    """The Ray cluster under vLLM: this deployment's own, apart from any other Ray on the hosts."""

    ports: RayPorts = RayPorts()
    """Ports, the same on each host."""
    dashboard_host: str = "127.0.0.1"
    """The address on the head that the dashboard listens on."""
    object_store_bytes: int = Field(default=1 << 30, ge=80 << 20)
    """Size of Ray's object store on each host. vLLM hardly uses it."""
    temp_dir: str | None = None
    """Ray's folder for its sockets and logs, 40 characters at most; by default below `root`, or below /tmp where that
    is longer."""
    timeout_s: Seconds = 60
    """How long the cluster may take until Ray itself reports every host and GPU."""


class ServeSpec(Part):
    """The OpenAI-compatible vLLM server, started on the head."""

    model_name: str = Field(min_length=1)
    """The name that clients ask for."""
    host: str = "127.0.0.1"
    """The address on the head that the server listens on."""
    port: Port = 8000
    """The port that the server listens on."""
    backend: Literal["ray", "mp"] = "ray"
    """What joins the hosts: `ray`, a Ray cluster of this deployment's own; or `mp`, vLLM's own multi-node, which starts
    a part of the server on every host and no Ray. With `mp` over several hosts the parts meet at the head's port
    `ray.ports.block` + 9; each host has the same number of GPUs and gives them all; and `restart` does nothing, since a
    part that died cannot join again: the next deploy starts them all."""
    tensor_parallel: int = Field(default=1, ge=1)
    """GPUs that share each layer."""
    pipeline_parallel: int = Field(default=1, ge=1)
    """Groups of layers, one after the other."""
    args: dict[ArgumentName, Argument] = Field(default_factory=dict)
    """Further arguments of `vllm serve`, by long name without dashes: `max-model-len: 16384`. `true` gives the bare
    switch, `false` its `--no-` form. That vLLM's own parser checks them before anything is started."""
    env: dict[EnvName, str] = Field(default_factory=dict)
    """Variables for vLLM and its workers on every host."""
    ready_timeout_s: Seconds = 1800
    """How long the server may take until it answers a completion."""
    no_progress_s: Seconds = 300
    """How long a server that starts may stand still before it is given up: no new line in its log, and none of its
    processes computes, reads or takes GPU memory. A load that is silent but reads does not stand still."""
    drain_s: int = Field(default=5, ge=0, le=120)
    """How long a server that is told to stop may still work on the requests that it has; it takes no new ones, and ends
    what is left after that. vLLM's own `--shutdown-timeout`, which is left out where this is 0."""
    restart: bool = True
    """Whether the agent on the host starts a server again that was ready and died unasked, 3 times in 10 minutes at
    most."""

    @model_validator(mode="after")
    def _arguments(self) -> ServeSpec:
        for name in self.args:
            if name in OWN_ARGUMENTS:
                raise ValueError(f"args.{name}: not here, `{OWN_ARGUMENTS[name]}` decides it")
            if name in DENIED_ARGUMENTS:
                raise ValueError(f"args.{name}: denied, {DENIED_ARGUMENTS[name]}")
        return self


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


class Level(Part):
    """One load level of the benchmark matrix: `users`, each asking again as soon as it was answered (a closed loop), or
    requests at a `rate` that wait for no answer (an open loop)."""

    users: int = Field(default=0, ge=0, le=100_000)
    """Concurrent users."""
    rate: float = Field(default=0.0, ge=0, le=100_000, strict=False)
    """Requests a second, instead of `users`."""
    spawn_rate: float = Field(default=10.0, gt=0, strict=False)
    """Users started a second."""
    processes: int = Field(default=1, ge=1, le=256)
    """Locust processes that share the users, or the rate."""

    @property
    def load(self) -> str:
        """The level in words, which name it: ``50 users``, or ``12.5 req/s``."""
        return f"{self.users} users" if self.users else f"{self.rate:g} req/s"

    @model_validator(mode="after")
    def _either(self) -> Level:
        if bool(self.users) == bool(self.rate):
            raise ValueError("give either `users` or `rate`")
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
    shared_prefix_tokens: int = Field(default=0, ge=0, le=1_000_000)
    """How many tokens at the beginning of each synthetic prompt all prompts of a level share."""
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
    def _levels_differ(self) -> BenchmarkSpec:
        loads = [level.load for level in self.levels]
        if len(set(loads)) != len(loads):
            raise ValueError("two levels have the same load")
        return self


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
    promote: Literal["auto", "manual"] = "auto"
    """Who promotes what nothing speaks against: the run itself; or a person, whom Airflow asks under its required
    actions. A no, and no answer in time, put the last good revision back."""
    approve_within_s: Seconds = 86400
    """How long that person may take."""


class DeploymentSpec(Part):
    """A deployment file: what to serve, where, how, and how it is judged."""

    version: Literal[1]
    """The version of this format."""
    name: Name
    """The deployment's name: its DAGs are `<name>.preflight`, `<name>.deploy`, `<name>.benchmark` and
    `<name>.teardown`."""
    description: str = ""
    """A sentence or two, shown in Airflow."""
    tags: tuple[str, ...] = ()
    """Further tags of the DAGs."""
    rehearsal: bool = False
    """The true software on CPU, without a GPU. Everything that it records is marked as a rehearsal."""
    root: str = "/var/lib/slipway"
    """Slipway's folder on every host. A path that is not absolute is taken from the folder that holds `include/`; only
    where every host is `local`."""
    hosts: tuple[HostSpec, ...] = Field(min_length=1, max_length=1024)
    """The machines; the first is the head."""
    env: dict[EnvName, str] = Field(default_factory=dict)
    """Variables for Ray and vLLM on every host (NCCL, GLOO, UCX)."""
    environment: EnvironmentSpec
    """The serving environment."""
    weights: WeightsSpec
    """The model."""
    preflight: PreflightSpec = PreflightSpec()
    """The look at the hosts."""
    ray: RaySpec = RaySpec()
    """The Ray cluster."""
    serve: ServeSpec
    """The server."""
    smoke: SmokeSpec = SmokeSpec()
    """The first questions."""
    benchmark: BenchmarkSpec
    """The load test."""
    price_per_gpu_hour: float | None = Field(default=None, gt=0, strict=False)
    """What one GPU costs an hour, in any currency: with it each cell states the cost of a million output tokens."""
    verdict: VerdictSpec = VerdictSpec()
    """The judgement."""
    redeploy: RedeploySpec = RedeploySpec()
    """Promote or put back."""
    when_busy: Literal["wait", "refuse"] = "wait"
    """What a run does while another one holds one of its hosts: wait for its turn, an hour at most; or fail at once,
    naming the other. With `wait`, runs of the same DAG stand in Airflow's queue, however long."""

    @property
    def head(self) -> HostSpec:
        return self.hosts[0]

    @property
    def workers(self) -> tuple[HostSpec, ...]:
        return self.hosts[1:]

    @property
    def gpus(self) -> int:
        """GPUs of all hosts together."""
        return sum(host.gpus for host in self.hosts)

    @property
    def endpoint(self) -> str:
        """Base URL of the server, as the head itself and its neighbours reach it."""
        address = self.head.address if self.serve.host in ANY_ADDRESS else self.serve.host
        return f"http://{address}:{self.serve.port}"

    def env_of(self, host: HostSpec) -> dict[str, str]:
        """Variables of the file for one host: for all, then the server's, then the host's own."""
        return {**self.env, **self.serve.env, **host.env}

    @model_validator(mode="after")
    def _hosts(self) -> DeploymentSpec:
        for what in ("name", "address"):
            values = [getattr(host, what) for host in self.hosts]
            twice = sorted({value for value in values if values.count(value) > 1})
            if twice:
                raise ValueError(f"hosts: {what} {twice[0]!r} stands twice; each host needs its own")
        return self

    @model_validator(mode="after")
    def _addresses(self) -> DeploymentSpec:
        for host in self.hosts:
            if host.address in ("localhost", "127.0.0.1", "::1"):
                raise ValueError(f"hosts: {host.name}: Ray replaces {host.address} by another address; use 127.0.0.2")
        return self

    @model_validator(mode="after")
    def _variables(self) -> DeploymentSpec:
        for host in self.hosts:
            for name in self.env_of(host):
                if name in DENIED_ENV or name.startswith("PYTHON"):
                    raise ValueError(f"env.{name}: denied, it could load foreign code or open the server")
                if name in OWN_ENV:
                    raise ValueError(f"env.{name}: Slipway sets this one itself, on each host with its own value")
        return self

    @model_validator(mode="after")
    def _shape(self) -> DeploymentSpec:
        wanted = self.serve.tensor_parallel * self.serve.pipeline_parallel
        if wanted > self.gpus:
            raise ValueError(
                f"serve: tensor_parallel x pipeline_parallel = {wanted} GPUs, but the hosts have {self.gpus} together"
            )
        if self.serve.backend == "mp" and len(self.hosts) > 1:
            for host in self.hosts:
                if host.gpus * len(self.hosts) != wanted:
                    raise ValueError(
                        f"serve: backend mp gives each of {len(self.hosts)} hosts the same share of {wanted} GPUs "
                        f"(tensor_parallel x pipeline_parallel), but {host.name} has {host.gpus}"
                    )
        return self
