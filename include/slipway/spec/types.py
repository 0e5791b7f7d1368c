"""The deployment file, as frozen and strict types.

The docstring under each field is its entry in ``docs/deployment-file.md`` and in the JSON schema. Durations are in
seconds.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from slipway.spec.beside import BesideSpec, HostSpec
from slipway.spec.judging import BenchmarkSpec, RedeploySpec, SmokeSpec, VerdictSpec, WatchSpec
from slipway.spec.layout import Layout
from slipway.spec.part import EnvName, Name, Part, Seconds
from slipway.spec.schedule import Cron, Zone
from slipway.spec.serving import TRUSTS_CODE, RaySpec, ServeSpec
from slipway.spec.sweep import SweepSpec

HUB = "hf:"
REPOSITORY = re.compile(r"hf:([A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*)@([0-9a-f]{40})")

DENIED_ENV = ("LD_PRELOAD", "LD_LIBRARY_PATH", "PATH", "VLLM_SERVER_DEV_MODE", "VLLM_ALLOW_INSECURE_SERIALIZATION")
"""Variables that could load foreign code or open the server; names that begin with PYTHON are denied too."""

OWN_ENV = ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_TOKEN", "VLLM_HOST_IP", "VLLM_API_KEY")
"""Variables that Slipway sets itself, on each host with that host's own value."""

Job = Literal["preflight", "deploy", "benchmark", "watch", "sweep", "teardown"]

LOOPBACK = ("localhost", "127.0.0.1", "::1")
ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - compared with, never bound to


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
    digest: Literal["sha256", "xxh3"] = "sha256"
    """What proves that a copy is whole. `xxh3` takes a tenth of the processor's time: it finds every accident, but not
    a forgery, and needs the package `xxhash` in each host's `python3`, or the library `libxxhash`, which most systems
    have. Another one than before stages the model again. A manifest beside the source keeps its own."""
    limit_bytes_per_s: int | None = Field(default=None, ge=1 << 20)
    """The most that each host reads from the source while it stages, for storage that others use too; no limit by
    default."""
    stripe: bool = False
    """Where several hosts lack the model: each reads its share of the source, and has the rest from the others, at port
    `ray.ports.block` + 8 of their addresses. For a source that is slower than the network between the hosts."""
    allow_pickle: tuple[str, ...] = ()
    """Pickle files that may be part of the model, by their path below `source`. Any other is refused: a pickle can run
    code when it is loaded. vLLM loads the weights from safetensors alone in any case."""
    trusted_code: dict[str, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]] = Field(default_factory=dict)
    """With `serve.args.trust-remote-code`: every Python file of the model that may run, by its path below the model's
    folder, with its SHA-256. A model with another one is not started; the error says what would have to stand here."""
    prune: bool = False
    """Where space in a host's model store is too short to stage, remove versions that nothing uses there, the least
    recently used first, of this model and others. What a server uses is never removed."""
    token_file: str | None = None
    """For a repository that needs one: a file on each host with the hub's token, which its owner alone may read
    (mode 0600). The token itself stands in no file of ours and on no command line."""
    token_connection: str | None = None
    """The same by an Airflow connection, whose password is the token: it lies in a file on each host (mode 0600) while
    that host downloads, and is removed after."""
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
        if self.digest != "sha256" and not self.stage:
            raise ValueError("digest: only for what is staged")
        if self.stripe and (self.repository or not self.stage):
            raise ValueError("stripe: only for a folder that is staged")
        if self.repository and self.prune:
            raise ValueError("prune: not for a repository, whose size only the hub knows; use `slipway weights prune`")
        if not self.repository and (self.token_file or self.token_connection or self.hub_endpoint):
            raise ValueError("token_file, token_connection, hub_endpoint: only for a source `hf:org/name@commit`")
        if self.token_file and self.token_connection:
            raise ValueError("token_file, token_connection: give one of them")
        return self


class PreflightSpec(Part):
    """The look at the hosts before anything is started; it is the first stage of a deploy, and a DAG of its own."""

    schedule: Cron | None = None
    """When `<name>.preflight` runs by itself, as cron's five fields: `30 2 * * *` for every night. Runs that were
    missed are not made up for."""
    timezone: Zone = "UTC"
    """The time zone of `schedule`, by its IANA name."""


class DeploymentSpec(Part):
    """A deployment file: what to serve, where, how, and how it is judged."""

    version: Literal[1]
    """The version of this format."""
    name: Name
    """The deployment's name: its DAGs are `<name>.preflight`, `<name>.deploy`, `<name>.benchmark` and
    `<name>.teardown`; with the part `watch` also `<name>.watch`, with `sweep` `<name>.sweep`."""
    description: str = ""
    """A sentence or two, shown in Airflow."""
    tags: tuple[str, ...] = ()
    """Further tags of the DAGs."""
    pool: str = Field(default="default_pool", min_length=1, max_length=250)
    """Airflow's pool of the tasks of these DAGs, which bounds how many run at once. It must be there; make it with
    `airflow pools set --include-deferred`."""
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
    beside: BesideSpec | None = None
    """Spare hosts and a router, with `redeploy.swap: beside`."""
    watch: WatchSpec | None = None
    """What the DAG `<name>.watch` does, and when; without it there is no such DAG."""
    sweep: SweepSpec | None = None
    """What the DAG `<name>.sweep` tries; without it there is no such DAG."""
    late_after_s: dict[Job, Seconds] = Field(default_factory=dict)
    """By job, how long a run may take from the moment that it is queued before people are told that it is late:
    `{deploy: 3600, benchmark: 1800}`. The run itself goes on."""
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

    @property
    def entrance(self) -> str:
        """Base URL that clients ask: the router's, where the file has one, else the server's."""
        return self.beside.router.url if self.beside else self.endpoint

    @property
    def key_file(self) -> str | None:
        """The file on the head that holds the server's API key; None for a server without one."""
        return Layout(self.root).api_key(self.name) if self.serve.api_key_connection else None

    @property
    def machines(self) -> tuple[HostSpec, ...]:
        """The hosts, and the spare ones behind them."""
        return (*self.hosts, *(self.beside.hosts if self.beside else ()))

    def swapped(self) -> DeploymentSpec:
        """The same deployment on its spare hosts, which leaves these as the spare ones."""
        if self.beside is None:
            return self
        spare = self.beside.model_copy(update={"hosts": self.hosts})
        return self.model_copy(update={"hosts": self.beside.hosts, "beside": spare})

    def at_router(self) -> DeploymentSpec:
        """The same deployment as the router's machine knows it, as the only host."""
        if self.beside is None:
            raise ValueError("there is no router")
        door = self.beside.router
        host = HostSpec(name="router", connection=door.connection, address=door.address, gpus=0)
        return self.model_copy(update={"hosts": (host,)})

    def env_of(self, host: HostSpec) -> dict[str, str]:
        """Variables of the file for one host: for all, then the server's, then the host's own."""
        return {**self.env, **self.serve.env, **host.env}

    @model_validator(mode="after")
    def _hosts(self) -> DeploymentSpec:
        for what in ("name", "address"):
            values = [getattr(host, what) for host in self.machines]
            twice = sorted({value for value in values if values.count(value) > 1})
            if twice:
                raise ValueError(f"hosts: {what} {twice[0]!r} stands twice; each host needs its own")
        return self

    @model_validator(mode="after")
    def _addresses(self) -> DeploymentSpec:
        for host in self.machines:
            if host.address in LOOPBACK:
                raise ValueError(f"hosts: {host.name}: Ray replaces {host.address} by another address; use 127.0.0.2")
        return self

    @model_validator(mode="after")
    def _variables(self) -> DeploymentSpec:
        for host in self.machines:
            for name in self.env_of(host):
                if name in DENIED_ENV or name.startswith("PYTHON"):
                    raise ValueError(f"env.{name}: denied, it could load foreign code or open the server")
                if name in OWN_ENV:
                    raise ValueError(f"env.{name}: Slipway sets this one itself, on each host with its own value")
        return self

    @property
    def trusts_code(self) -> bool:
        """Whether Python files of the model may run."""
        return bool(self.serve.args.get(TRUSTS_CODE))

    @model_validator(mode="after")
    def _trust(self) -> DeploymentSpec:
        if self.weights.trusted_code and not self.trusts_code:
            raise ValueError(f"weights.trusted_code: only with serve.args.{TRUSTS_CODE}")
        return self

    @model_validator(mode="after")
    def _workers(self) -> DeploymentSpec:
        away = [worker.name for worker in self.benchmark.workers if worker.connection != "local"]
        if away and not self.benchmark.url and self.serve.host in LOOPBACK:
            raise ValueError(
                f"benchmark.workers: {away[0]} cannot reach serve.host {self.serve.host}; set either address"
            )
        return self

    @model_validator(mode="after")
    def _goodput(self) -> DeploymentSpec:
        if self.sweep and self.sweep.objective == "goodput_per_s" and not self.benchmark.slo:
            raise ValueError("sweep.objective: goodput_per_s needs the limits of `benchmark.slo`")
        return self

    @model_validator(mode="after")
    def _swap(self) -> DeploymentSpec:
        if (self.redeploy.swap == "beside") != (self.beside is not None):
            raise ValueError("beside: goes with `redeploy.swap: beside`, neither without the other")
        if self.beside and [host.gpus for host in self.beside.hosts] != [host.gpus for host in self.hosts]:
            raise ValueError("beside.hosts: as many as `hosts`, each with as many GPUs as the one at its place there")
        if self.beside and {host.connection for host in self.beside.hosts} & {host.connection for host in self.hosts}:
            raise ValueError("beside.hosts: machines of their own, by other connections than those of `hosts`")
        if self.beside and self.sweep:
            raise ValueError("sweep: not with `redeploy.swap: beside`: its points replace the server on its hosts")
        if self.beside and self.serve.host not in ANY_ADDRESS:
            raise ValueError("serve.host: with `redeploy.swap: beside` it is 0.0.0.0, which is right on both sides")
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
