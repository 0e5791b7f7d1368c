"""The whole deployment as commands, for hosts on which nothing is there yet: what ``slipway plan`` prints."""

from __future__ import annotations

from collections.abc import Iterator

from slipway.commands import kit, python_env
from slipway.facts.role import RoleState
from slipway.spec import DeploymentSpec, Layout
from slipway.stages import api_key, environment, network, ray_cluster, serve, traffic, weights
from slipway.stages.api_key import NO_KEY, KeyFile
from slipway.stages.site import Action, Plan


def planned(spec: DeploymentSpec, lock: str) -> Iterator[tuple[str, Action]]:
    """Each acting command, and the network proof, with its stage, in the order of a run. Nothing is run here."""
    interpreter = python_env.python(spec, lock)
    model = f"{Layout(spec.root).models(spec.weights.name)}/current" if spec.weights.stage else spec.weights.source
    server = serve.wanted(spec, interpreter, model)
    stages: dict[str, Plan] = {
        "prepare": _prepare(spec),
        "environment": environment.plan(spec, lock, {}),
        "weights": weights.plan(spec, {}, interpreter),
        "ray_cluster": ray_cluster.plan(spec, interpreter, ray_cluster.Seen(), fresh_token=""),
        "network": network.plan(spec, interpreter),
        "serve": serve.plan(spec, server, {}, _key(spec)),
        "traffic": _traffic(spec),
    }
    for stage, rounds in stages.items():
        for actions in rounds:
            for action in actions:
                yield stage, action


def _key(spec: DeploymentSpec) -> KeyFile:
    """The key itself is known to a run alone."""
    if spec.serve.api_key_connection is None:
        return NO_KEY
    return KeyFile(api_key.text("the password of that connection"), as_wanted=False)


def _traffic(spec: DeploymentSpec) -> Plan:
    if spec.beside:
        yield from traffic.plan(spec.at_router(), spec.endpoint, traffic.Seen(RoleState(""), ""))


def _prepare(spec: DeploymentSpec) -> Plan:
    yield [Action(host.name, kit.install(spec.root), "put Slipway's own programs there") for host in spec.hosts]
