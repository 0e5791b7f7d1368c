"""Load from other hosts: each gets the plan and its prompts, makes its share, and gives its rows back."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from slipway.commands import agent, kit, load_package, locust
from slipway.commands.agent import Role
from slipway.errors import HostError, LoadTestFailed, StageError
from slipway.facts import python_env as environments
from slipway.facts.role import last_lines, role
from slipway.hosts import Host, checked, on_each
from slipway.hosts.local import own_address
from slipway.loadgen.plan import LoadPlan, load_load_plan
from slipway.results.plan import PLAN_FILE
from slipway.shell import Command
from slipway.spec import DeploymentSpec
from slipway.spec.judging import LoadWorkerSpec
from slipway.stages import secret_file
from slipway.stages.job import finish
from slipway.stages.site import Action, Say, prepare, starting

ENVIRONMENT_S = 1800.0
PART_BYTES = 8 << 20
"""So much of a file comes home at a time."""


@dataclass(frozen=True)
class LoadWorker:
    """An open host that makes load; ``root`` is Slipway's folder there. ``wheelhouse`` is a folder there, too."""

    spec: LoadWorkerSpec
    host: Host
    root: str
    wheelhouse: str | None = None

    @property
    def python(self) -> str:
        return load_package.python(self.root, self.spec)


def load_workers(spec: DeploymentSpec, hosts: Mapping[str, Host]) -> tuple[LoadWorker, ...]:
    """Those of ``benchmark.workers``, each with its open host, by name."""
    wheelhouse = spec.environment.wheelhouse
    return tuple(LoadWorker(each, hosts[each.name], spec.root, wheelhouse) for each in spec.benchmark.workers)


def shared(plan: LoadPlan, workers: Sequence[LoadWorker], port: int) -> LoadPlan:
    """The plan with the processes of all workers, who reach this machine at the address that faces the first."""
    if not workers:
        return plan
    away = {worker.spec.name: worker.spec.processes for worker in workers}
    master = (own_address(workers[0].spec.address), port)
    return replace(plan, workers=away, master=master, processes=plan.processes + sum(away.values()))


def starts(workers: Sequence[LoadWorker], plan: LoadPlan) -> list[Action]:
    """What makes the load on each of them."""
    copies = [(worker, _copy(worker, plan)) for worker in workers]
    why = "make load beside the machine of the task"
    return [starting(worker.host.name, worker.root, _job(worker, copy), why) for worker, copy in copies]


@contextmanager
def helping(workers: Sequence[LoadWorker], plan: LoadPlan, say: Say, secret: str = "") -> Iterator[None]:
    """As long as this lasts the workers make load with whoever conducts the prepared ``plan``; at the end their rows
    are in its folder, and nothing of theirs is left. ``secret`` is the text of the file with the server's key, where
    the plan asks for one. Raises HostError, or LoadTestFailed with what a worker said.
    """
    known = {worker.host.name: worker for worker in workers}

    def each(work: Callable[[LoadWorker], None]) -> None:
        on_each([worker.host for worker in workers], lambda host: work(known[host.name]))

    each(lambda worker: _equip(worker, say))
    made = load_load_plan(Path(plan.folder, PLAN_FILE))
    try:
        each(lambda worker: _start(worker, made, secret))
        try:
            yield
        except StageError as error:
            raise LoadTestFailed("\n".join([str(error), *_complaints(workers, made)])) from error
        each(lambda worker: _fetch(worker, made))
    finally:
        each(lambda worker: _clear(worker, made, say))


def _equip(worker: LoadWorker, say: Say) -> None:
    """Slipway's programs, the load generator, and an environment with Locust; what is there stays as it is."""
    prepare(worker.host, worker.root)
    if not worker.host.run(load_package.installed(worker.root)).ok:
        for write in load_package.install(worker.root):
            checked(worker.host.run(write))
    if environments.present(worker.host, worker.python):
        return
    if worker.spec.existing:
        message = f"benchmark.workers: there is no {worker.python}"
        raise HostError(worker.host.name, message, hint="correct `existing`, or leave it out")
    say(f"[{worker.host.name}] make an environment with Locust")
    job = load_package.build(worker.root, worker.spec, worker.wheelhouse)
    kit.reply(worker.host.run(agent.forget(worker.root, job.name)))
    checked(worker.host.run(load_package.write_requirements(worker.root, worker.spec)))
    kit.reply(worker.host.run(agent.start(worker.root, job)))
    hint = "set `environment.wheelhouse`, or name an environment with Locust as `existing`"
    finish(worker.host, worker.root, job.name, ENVIRONMENT_S, say=say, hint=hint)


def _start(worker: LoadWorker, plan: LoadPlan, secret: str) -> None:
    """One of an earlier try is stopped first. The folder is closed to others where the key lies in it."""
    copy = _copy(worker, plan)
    job = _job(worker, copy)
    kit.reply(worker.host.run(agent.stop(worker.root, job.name)))
    if job.env_file:
        kit.reply(worker.host.run(secret_file.write(worker.root, job.env_file, secret)))
    checked(worker.host.run(kit.write(locust.plan_path(copy), copy.to_json().encode())))
    checked(worker.host.run(kit.write(str(copy.prompts_path), plan.prompts_path.read_bytes())))
    if plan.ca_file and copy.ca_file:
        checked(worker.host.run(kit.write(copy.ca_file, Path(plan.ca_file).read_bytes())))
    kit.reply(worker.host.run(agent.start(worker.root, job)))


def _copy(worker: LoadWorker, plan: LoadPlan) -> LoadPlan:
    """The plan as the worker reads it: all paths are its own."""
    folder = f"{worker.root}/loads/{locust.name(plan)}.{worker.spec.name}"
    ca_file = f"{folder}/ca.pem" if plan.ca_file else None
    return replace(plan, host=worker.spec.name, folder=folder, ca_file=ca_file, prompts_file=None, dataset=None)


def _job(worker: LoadWorker, copy: LoadPlan) -> Role:
    root = worker.root
    job = locust.worker(worker.python, load_package.path(root), load_package.locustfile(root), copy)
    return replace(job, env_file=f"{copy.folder}/key.json" if copy.api_key_env else None)


def _complaints(workers: Sequence[LoadWorker], plan: LoadPlan) -> Iterator[str]:
    """What those say that have failed themselves."""
    for worker in workers:
        name = _job(worker, _copy(worker, plan)).name
        state = role(worker.host, worker.root, name)
        if state.state == "failed":
            yield f"[{worker.host.name}] {name}: {state.ended}\n{last_lines(worker.host, worker.root, name)}"


def _fetch(worker: LoadWorker, plan: LoadPlan) -> None:
    """Bring rows and health home; each file's name has the worker's in it."""
    folder = _copy(worker, plan).folder
    wanted = ("-name", "rows-*.jsonl", "-o", "-name", "clients-*.json")
    listed = checked(worker.host.run(Command(("find", folder, "-maxdepth", "1", *wanted)))).stdout
    for path in map(PurePosixPath, listed.split()):
        kind, _, number = path.name.partition("-")
        _bring(worker, str(path), Path(plan.folder, f"{kind}-{worker.spec.name}-{number}"))


def _bring(worker: LoadWorker, path: str, to: Path) -> None:
    offset, size = 0, 1
    with to.open("wb") as file:
        while offset < size:
            asked = {"path": path, "offset": offset, "limit": PART_BYTES}
            answer = kit.reply(worker.host.run(kit.call(worker.root, "files", "part", asked, timeout_s=300)))
            file.write(zlib.decompress(base64.b64decode(answer["data"])))
            offset, size = answer["offset"], answer["size"]


def _clear(worker: LoadWorker, plan: LoadPlan, say: Say) -> None:
    """Stop what runs and remove its folder. Where the host is away, it ends by itself within a minute."""
    copy = _copy(worker, plan)
    name = _job(worker, copy).name
    removed = {"path": copy.folder, "below": f"{worker.root}/loads"}
    try:
        for command in (
            agent.stop(worker.root, name),
            agent.forget(worker.root, name),
            kit.call(worker.root, "files", "remove", removed),
        ):
            kit.reply(worker.host.run(command))
    except HostError as error:
        say(f"[{worker.host.name}] what made load there is not cleared away: {error}")
