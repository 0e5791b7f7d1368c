"""Stage *serve*: vLLM runs on the head as the deployment says, kept by the agent, apart from Airflow."""

from __future__ import annotations

from slipway.commands import agent, python_env, ray, vllm
from slipway.commands.agent import Role
from slipway.errors import SpecError
from slipway.facts.role import RoleState, role
from slipway.facts.vllm import refused_argument
from slipway.spec import DeploymentSpec
from slipway.stages.site import Action, Outcome, Plan, Site, act, starting
from slipway.stages.weights import model_path


def wanted(spec: DeploymentSpec, interpreter: str, model: str) -> Role:
    return vllm.role(spec, interpreter, model, ray.client_env(spec))


def plan(spec: DeploymentSpec, server: Role, seen: RoleState) -> Plan:
    """Stop a server that is not as wanted, start the one that is."""
    if seen.alive and seen.digest == server.digest():
        return
    if seen.alive:
        yield [Action(spec.head.name, agent.stop(spec.root, server.name), "stop vLLM: its arguments have changed")]
    yield [starting(spec.head.name, spec.root, server, "start vLLM")]


def converge(site: Site) -> Outcome:
    """Start the server where it does not run as wanted. Raises SpecError for arguments that this vLLM refuses."""
    interpreter = python_env.python(site.spec, site.lock)
    server = wanted(site.spec, interpreter, model_path(site))
    rounds = list(plan(site.spec, server, role(site.head, site.root, server.name)))
    if rounds:
        _require_accepted(site, interpreter, server)
    actions = act(site, rounds)
    return Outcome(actions, {"endpoint": site.spec.endpoint, "command": server.steps[0].line()})


def _require_accepted(site: Site, interpreter: str, server: Role) -> None:
    words = [*server.steps[0].argv[3:]]
    if error := refused_argument(site.head, interpreter, words):
        raise SpecError(
            f"[{site.head.name}] vLLM's own parser refuses serve.args: {error}",
            hint="`slipway check FILE` names each argument; mend serve.args. Nothing was started or stopped",
        )
