"""What a redeploy changes: which keys, which stages act for it, whether the server is stopped, and on which hosts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass
from typing import Any

from slipway.commands import python_env, ray
from slipway.errors import SpecError
from slipway.spec import DeploymentSpec, Layout
from slipway.spec.changes import Change, changes
from slipway.stages import serve
from slipway.store import Store


@dataclass(frozen=True)
class Difference:
    """``acts`` are the stages that have something to do for it, in the order of a run.

    It is of files alone: whether the source of the weights holds another model by now, the stage *weights* finds out.
    """

    changes: tuple[Change, ...]
    acts: tuple[str, ...]

    @property
    def downtime(self) -> bool:
        return "serve" in self.acts

    def data(self) -> dict[str, Any]:
        """As JSON keeps it."""
        changed = [list(astuple(change)) for change in self.changes]
        return {"changes": changed, "acts": list(self.acts), "downtime": self.downtime}


def difference(old: DeploymentSpec, new: DeploymentSpec, old_lock: str, new_lock: str) -> Difference:
    """From what runs to what is wanted, each with the text of its lock file."""
    return Difference(changes(old, new, old_lock, new_lock), tuple(_acts(old, new, old_lock, new_lock)))


def from_running(store: Store, spec: DeploymentSpec, lock: str) -> dict[str, Any]:
    """The difference from what the deployment runs by the store, as JSON; ``from`` is that revision, if any."""
    current = store.current(spec.name)
    if current is None:
        return {"from": None}
    running, its_lock = store.spec(current.revision_id), store.lock(current.revision_id)
    here = where_it_runs(spec, running)
    data = {"from": current.revision_id, **difference(running, here, its_lock, lock).data()}
    return data if here.hosts == spec.hosts else {**data, "downtime": False, "beside": True}


def placed(store: Store, spec: DeploymentSpec, lock: str) -> DeploymentSpec:
    """The deployment on the hosts that a run brings it to: with ``swap: beside`` where it serves, or on the spare ones
    where the server would have to be replaced. Raises SpecError where what runs would be lost from sight."""
    current = store.current(spec.name)
    if current is None:
        return spec
    running, its_lock = store.spec(current.revision_id), store.lock(current.revision_id)
    require_same_sides(running, spec)
    here = where_it_runs(spec, running)
    return here.swapped() if difference(running, here, its_lock, lock).downtime else here


def where_it_runs(spec: DeploymentSpec, running: DeploymentSpec) -> DeploymentSpec:
    """The deployment on those of its two sides that ``running`` has; as it is where that has other hosts."""
    return spec.swapped() if _addresses(running) == _addresses(spec.swapped()) else spec


def require_same_sides(old: DeploymentSpec, new: DeploymentSpec) -> None:
    """Raises SpecError where hosts or the router of ``swap: beside`` are not those that the running one knows."""
    before, after = _sides(old), _sides(new)
    hosts_are_kept = _addresses(old) in (_addresses(new), _addresses(new.swapped()))
    if (old.beside and before != after) or (new.beside and not hosts_are_kept):
        raise SpecError(
            f"beside: what runs of {old.name} has other hosts, or another router, and would not be found any more",
            hint=f"trigger {old.name}.teardown first",
        )


def _sides(spec: DeploymentSpec) -> object:
    """The hosts of both sides and the router, whichever side serves."""
    router = spec.beside.router if spec.beside else None
    return {_addresses(spec), _addresses(spec.swapped())}, router


def _addresses(spec: DeploymentSpec) -> tuple[str, ...]:
    return tuple(host.address for host in spec.hosts)


def require_same_root(old: DeploymentSpec, new: DeploymentSpec) -> None:
    """Raises SpecError where the server that runs would not be found, and so not be stopped."""
    if old.root != new.root:
        raise SpecError(
            f"root: {old.root} -> {new.root}, but {old.name} runs below {old.root} and would not be found any more",
            hint=f"trigger {old.name}.teardown first",
        )


def _acts(old: DeploymentSpec, new: DeploymentSpec, old_lock: str, new_lock: str) -> Iterator[str]:
    before, after = python_env.python(old, old_lock), python_env.python(new, new_lock)
    if before != after:
        yield "environment"
    if any(getattr(old.weights, key) != getattr(new.weights, key) for key in ("source", "name", "stage")):
        yield "weights"
    ray_differs = _ray(old, before) != _ray(new, after)
    if ray_differs:
        yield "ray_cluster"
    if ray_differs or _server(old, before) != _server(new, after):
        yield "serve"


def _ray(spec: DeploymentSpec, interpreter: str) -> dict[str, str]:
    """What Ray is on each host, by digest."""
    if spec.serve.backend != "ray":
        return {}
    return {host.name: ray.role(spec, host, interpreter).digest() for host in spec.hosts}


def _server(spec: DeploymentSpec, interpreter: str) -> dict[str, str]:
    """What the server is on each host, by digest; staged weights go by their source."""
    source = spec.weights.source
    model = f"{Layout(spec.root).models(spec.weights.name)}/{source}" if spec.weights.stage else source
    return {name: part.digest() for name, part in serve.wanted(spec, interpreter, model).items()}
