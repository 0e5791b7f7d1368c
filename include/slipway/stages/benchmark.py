"""Stage *benchmark*: one load level, measured by a load generator that runs as a process of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from slipway.commands import agent, kit, locust
from slipway.commands.agent import Role
from slipway.errors import LoadTestFailed, StageError
from slipway.hosts import Host, LocalHost
from slipway.loadgen.plan import LoadPlan
from slipway.results import Measurement
from slipway.results.cell import measure
from slipway.results.goodput import Slo
from slipway.results.gpus import GPUS_FILE
from slipway.results.parquet import keep_requests
from slipway.spec import DeploymentSpec, Level
from slipway.stages.gpu_watch import GpuWatch
from slipway.stages.job import finish
from slipway.stages.site import Site, prepare


@dataclass(frozen=True)
class LoadHost:
    """Where the load is made. ``root`` is the agent's folder there, ``python`` has Locust, ``folder`` gets the rows."""

    root: str
    python: str
    folder: Path
    host: Host = field(default_factory=lambda: LocalHost("load"))


def converge(site: Site, load: LoadHost, level: Level) -> Measurement:
    """Put one level of load on the server and measure it. Raises LoadTestFailed when the load generator itself fails.

    A load generator of an earlier try that still runs is stopped first: two of them would measure each other.
    """
    plan = load_plan(site.spec, level, load.folder)
    job, gpus = locust.cell(load.python, plan), GpuWatch(site, load.folder / GPUS_FILE)
    _start_anew(load, job)
    allowed_s = sum(step.timeout_s for step in job.steps)
    try:
        hint = f"its files are in {load.folder}"
        finish(load.host, load.root, job.name, allowed_s, say=site.say, hint=hint, meanwhile=gpus.look)
    except StageError as error:
        raise LoadTestFailed(f"the load generator failed: {error}") from error
    measured = measure(load.folder, plan)
    keep_requests(load.folder)
    return measured


def _start_anew(load: LoadHost, job: Role) -> None:
    prepare(load.host, load.root)
    for command in (agent.stop(load.root, job.name), agent.start(load.root, job)):
        kit.reply(load.host.run(command))


def load_plan(spec: DeploymentSpec, level: Level, folder: Path) -> LoadPlan:
    """What the load generator must do at one level."""
    benchmark = spec.benchmark
    return LoadPlan(
        base_url=spec.endpoint,
        model=spec.serve.model_name,
        endpoint=benchmark.endpoint,
        prompt_tokens=benchmark.prompt_tokens,
        output_tokens=benchmark.output_tokens,
        ignore_eos=benchmark.ignore_eos,
        temperature=benchmark.temperature,
        request_timeout_s=benchmark.request_timeout_s,
        users=level.users,
        spawn_rate=level.spawn_rate,
        processes=level.processes,
        seconds=benchmark.seconds,
        warmup_s=benchmark.warmup_s,
        folder=str(folder),
        slo=Slo(**(benchmark.slo.model_dump() if benchmark.slo else {})),
        price_per_hour=_price_per_hour(spec),
    )


def _price_per_hour(spec: DeploymentSpec) -> float | None:
    """Of all GPUs of the deployment; a rehearsal has none to pay for."""
    return None if spec.rehearsal or not spec.price_per_gpu_hour else spec.price_per_gpu_hour * spec.gpus
