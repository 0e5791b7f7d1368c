"""vllm-router's own command line, and the requests that add a server behind it or take one away."""

from __future__ import annotations

import json
from collections.abc import Sequence

from slipway.commands import kit
from slipway.commands.agent import Role
from slipway.shell import Command
from slipway.spec import DeploymentSpec, Layout
from slipway.spec.beside import RouterSpec

START = """\
import json, os, sys
with open(sys.argv[1], encoding="utf-8") as file:
    servers = json.load(file)
command = [sys.executable, "-m", "vllm_router.launch_router", *sys.argv[2:], "--worker-urls", *servers]
os.execv(sys.executable, command)
"""
"""Starts it before the servers that the file names: so one that is started again sends to where traffic was moved."""

ANSWER_S = 10
ADD_S = 60
"""A server is added when it answers the router's own look at it."""


def role_name(spec: DeploymentSpec) -> str:
    return f"{spec.name}.router"


def role(spec: DeploymentSpec, router: RouterSpec) -> Role:
    """The router as the agent keeps it. Which server it sends to is in a file, and no part of its identity."""
    argv = (router.python, "-c", START, servers_file(spec), *_arguments(router))
    return Role(
        name=role_name(spec),
        steps=(Command(argv, env={"NO_PROXY": "*"}),),
        server=True,
        ready_url=f"{router.url}/health",
        restart=True,
        ports=(router.port, router.port + 1),
        labels={"deployment": spec.name},
    )


def servers_file(spec: DeploymentSpec) -> str:
    return f"{Layout(spec.root).deployment(spec.name)}/router.json"


def write_servers(spec: DeploymentSpec, urls: Sequence[str]) -> Command:
    request = {"path": servers_file(spec), "text": servers_text(urls), "mode": 0o644}
    return kit.call(spec.root, "files", "write", request)


def servers_text(urls: Sequence[str]) -> str:
    return json.dumps(list(urls))


def listed(router: RouterSpec) -> dict[str, object]:
    """Asks for the servers that it sends to."""
    return {"method": "GET", "url": f"{router.url}/list_workers", "timeout_s": ANSWER_S}


def add(router: RouterSpec, server: str) -> dict[str, object]:
    return {"method": "POST", "url": f"{router.url}/add_worker?url={server}", "timeout_s": ADD_S}


def remove(router: RouterSpec, server: str) -> dict[str, object]:
    """Requests that the server has already are answered; it gets no new ones."""
    return {"method": "POST", "url": f"{router.url}/remove_worker?url={server}", "timeout_s": ANSWER_S}


def _arguments(router: RouterSpec) -> list[str]:
    """One server at a time is behind it: a breaker that opens, or a slow look at its health, would only add to an
    outage."""
    return [
        f"--host={router.address}",
        f"--port={router.port}",
        "--policy=round_robin",
        "--disable-circuit-breaker",
        "--health-check-interval-secs=5",
        "--health-success-threshold=1",
        "--prometheus-host=127.0.0.1",
        f"--prometheus-port={router.port + 1}",
    ]
