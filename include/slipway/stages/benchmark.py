"""Stage *benchmark*: one load level, measured by a load generator that runs as a process of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from slipway.commands import agent, kit, locust
from slipway.commands.agent import Role
from slipway.commands.weights import STRIPE_PORT
from slipway.errors import LoadTestFailed, StageError
from slipway.hosts import Host, LocalHost
from slipway.loadgen.plan import LoadPlan
from slipway.results import Measurement
from slipway.results.cell import measure
from slipway.results.goodput import Slo
from slipway.results.gpus import GPUS_FILE
from slipway.results.parquet import keep_requests
from slipway.results.plan import Trace
from slipway.results.repeats import middle, with_repeats
from slipway.results.shape import Step
from slipway.spec import DeploymentSpec, Layout, Level
from slipway.spec.serving import KEY_VARIABLE
from slipway.stages import api_key
from slipway.stages.gpu_watch import GpuWatch
from slipway.stages.job import finish
from slipway.stages.load_workers import LoadWorker, helping, shared, starts
from slipway.stages.secret_file import secret_there
from slipway.stages.site import Say, Site, prepare, starting, told


@dataclass(frozen=True)
class LoadHost:
    """Where the load is made. ``root`` is the agent's folder there, ``python`` has Locust, ``folder`` gets the rows.

    ``api_key`` goes with each request where the plan asks for one; it lies in a file there while the load is made.
    ``workers`` make load beside it, whom it conducts at ``master_port``.
    """

    root: str
    python: str
    folder: Path
    api_key: str = field(default="", repr=False)
    host: Host = field(default_factory=lambda: LocalHost("load"))
    workers: Sequence[LoadWorker] = ()
    master_port: int = 0


def converge(site: Site, load: LoadHost, level: Level) -> Measurement:
    """Put one level of load on the server and measure it, as often as the file says. Raises LoadTestFailed.

    Of several the middle one stands for all, and its files are those of the level.
    """
    load = replace(load, api_key=site.api_key())
    count = site.spec.benchmark.repeats
    if count == 1:
        return _measure_once(site, load, level)
    folders = [load.folder / f"repeat-{number}" for number in range(1, count + 1)]
    cells = [_measure_once(site, replace(load, folder=folder), level) for folder in folders]
    chosen = middle(cells)
    for path in folders[chosen].iterdir():
        path.replace(load.folder / path.name)
    return with_repeats(cells[chosen], cells)


def _measure_once(site: Site, load: LoadHost, level: Level) -> Measurement:
    load.folder.mkdir(parents=True, exist_ok=True)
    gpus, plan = GpuWatch(site, load.folder / GPUS_FILE), load_plan(site.spec, level, load.folder)
    whole = shared(plan, load.workers, load.master_port)
    job = locust.cell(load.python, whole)
    for action in (
        starting(load.host.name, load.root, job, f"make the load of {level.load}"),
        *starts(load.workers, whole),
    ):
        site.commands.extend(told(action))
    return measure_load(load, plan, site.say, meanwhile=gpus.look)


def measure_load(
    load: LoadHost,
    plan: LoadPlan,
    say: Say,
    *,
    meanwhile: Callable[[], None] | None = None,
    web_port: int | None = None,
) -> Measurement:
    """Carry a plan out and measure it. Raises LoadTestFailed when the load generator itself fails.

    A load generator of an earlier try that still runs is stopped first: two of them would measure each other. One that
    nobody waits for any more is stopped, too.
    """
    plan = shared(plan, load.workers, load.master_port)
    try:
        if load.workers:
            first, second = locust.cell_in_parts(load.python, plan, web_port)
            _carry_out(load, first, say)
            with helping(load.workers, plan, say, api_key.text(load.api_key)):
                _carry_out(load, second, say, meanwhile)
        else:
            _carry_out(load, locust.cell(load.python, plan, web_port), say, meanwhile)
    except StageError as error:
        raise LoadTestFailed(f"the load generator failed: {error}") from error
    keep_requests(load.folder)
    return measure(load.folder, plan)


def _carry_out(load: LoadHost, job: Role, say: Say, meanwhile: Callable[[], None] | None = None) -> None:
    prepare(load.host, load.root)
    allowed_s, hint = sum(step.timeout_s for step in job.steps), f"its files are in {load.folder}"
    with _key_there(load, job) as keyed:
        _start_anew(load, keyed)
        try:
            finish(load.host, load.root, job.name, allowed_s, say=say, hint=hint, meanwhile=meanwhile)
        except KeyboardInterrupt:
            kit.reply(load.host.run(agent.stop(load.root, job.name)))
            raise


@contextmanager
def _key_there(load: LoadHost, job: Role) -> Iterator[Role]:
    """The job with its file of secret variables, which is there for as long as this lasts; without a key as it is."""
    if not load.api_key:
        yield job
        return
    path = Layout(load.root).api_key(job.name)
    with secret_there(load.root, [load.host], path, api_key.text(load.api_key)):
        yield replace(job, env_file=path)


def _start_anew(load: LoadHost, job: Role) -> None:
    for command in (agent.stop(load.root, job.name), agent.start(load.root, job)):
        kit.reply(load.host.run(command))


def master_port(spec: DeploymentSpec) -> int:
    """Where Locust's master listens for workers: while load is made, no weights are striped."""
    return spec.ray.ports.block + STRIPE_PORT


def load_plan(spec: DeploymentSpec, level: Level, folder: Path) -> LoadPlan:
    """What the load generator must do at one level."""
    benchmark = spec.benchmark
    return LoadPlan(
        base_url=benchmark.url or spec.endpoint,
        ca_file=benchmark.ca_file,
        model=spec.serve.model_name,
        api_key_env=KEY_VARIABLE if spec.serve.api_key_connection else None,
        endpoint=benchmark.endpoint,
        prompt_tokens=benchmark.prompt_tokens,
        output_tokens=benchmark.output_tokens,
        ignore_eos=benchmark.ignore_eos,
        temperature=benchmark.temperature,
        request_timeout_s=benchmark.request_timeout_s,
        users=math.ceil(level.peak) if level.closed else 0,
        rate=0.0 if level.closed else level.peak,
        arrivals=benchmark.arrivals,
        steps=tuple(Step(first=each.first, last=each.last, seconds=each.seconds) for each in level.steps),
        trace=Trace(**level.trace.model_dump()) if level.trace else None,
        shape=level.shape,
        spawn_rate=level.spawn_rate,
        processes=level.processes,
        seconds=sum(each.seconds for each in level.steps) or benchmark.seconds,
        warmup_s=benchmark.warmup_s,
        folder=str(folder),
        dataset=benchmark.dataset,
        shared_prefix_tokens=0 if level.trace else benchmark.shared_prefix_tokens,
        slo=Slo(**(benchmark.slo.model_dump(exclude={"share"}) if benchmark.slo else {})),
        price_per_hour=_price_per_hour(spec),
    )


def _price_per_hour(spec: DeploymentSpec) -> float | None:
    """Of all GPUs of the deployment; a rehearsal has none to pay for."""
    return None if spec.rehearsal or not spec.price_per_gpu_hour else spec.price_per_gpu_hour * spec.gpus
