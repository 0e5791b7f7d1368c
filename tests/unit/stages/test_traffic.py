"""Traffic by a router: the plans as tables, and the stage with a real agent and a strict stand-in for vllm-router."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from slipway.commands import router
from slipway.errors import NotConverged, ServerDied
from slipway.facts.role import RoleState, role
from slipway.hosts import LocalHost
from slipway.results.preflight import State
from slipway.spec import parse_deployment
from slipway.stages import teardown, traffic
from slipway.stages.planned import planned
from slipway.stages.site import Site

OLD, NEW = "http://10.0.0.1:8000", "http://10.0.0.2:8000"
FILE = """
version: 1
name: swapped
root: /srv/slipway
hosts: [{name: a, connection: ssh_a, address: 10.0.0.1}]
environment: {lock: cpu}
weights: {source: /models/tiny, name: tiny}
serve: {model_name: tiny, host: 0.0.0.0}
benchmark: {levels: [{users: 1}]}
redeploy: {swap: beside}
beside:
  hosts: [{name: b, connection: ssh_b, address: 10.0.0.2}]
  router: {address: 127.0.0.1, port: 18090, python: /opt/router/bin/python}
"""

ROUTER = '''
"""As vllm-router 0.1.17 answers: a server that is there is refused, one that is not is taken away all the same."""
import argparse, http.server, json, socketserver, urllib.parse

parser = argparse.ArgumentParser()
for name in ("host", "policy", "prometheus-host"):
    parser.add_argument(f"--{name}", required=True)
for name in ("port", "prometheus-port", "health-check-interval-secs", "health-success-threshold"):
    parser.add_argument(f"--{name}", type=int, required=True)
parser.add_argument("--disable-circuit-breaker", action="store_true", required=True)
parser.add_argument("--worker-urls", nargs="+", required=True)
asked = parser.parse_args()
servers = list(asked.worker_urls)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200, {"/health": "All servers healthy", "/list_workers": json.dumps({"urls": servers})}[self.path])

    def do_POST(self):
        path, query = self.path.split("?")
        [server] = urllib.parse.parse_qs(query)["url"]
        if path == "/remove_worker":
            servers[:] = [each for each in servers if each != server]
        elif path == "/add_worker" and server not in servers and "unhealthy" not in server:
            servers.append(server)
        else:
            return self.answer(400, "refused")
        self.answer(200, "done")

    def answer(self, status, text):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())


socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer((asked.host, asked.port), Handler).serve_forever()
'''


@pytest.fixture
def spec():
    return parse_deployment(FILE, origin="swapped.yaml", base=Path("/"))


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture
def site(spec, tmp_path):
    """The router's machine is this one; its environment has the stand-in."""
    package = tmp_path / "site" / "vllm_router"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "launch_router.py").write_text(ROUTER)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={package.parent} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    door = spec.beside.router.model_copy(update={"python": str(python), "port": free_port()})
    beside = spec.beside.model_copy(update={"router": door})
    made = spec.model_copy(update={"root": str(tmp_path / "root"), "beside": beside}).at_router()
    opened = Site(made, {"router": LocalHost("router")})
    opened.prepare()
    yield opened
    teardown.stop_all(opened.head, made.root, print)


def whys(plan) -> list[str]:
    return [action.why for step in plan for action in step]


def test_the_new_server_is_added_before_the_old_one_is_taken_away(spec):
    assert whys(traffic.moves(spec.at_router(), NEW, (OLD,))) == [
        f"the router sends to {NEW} too",
        f"the router sends nothing to {OLD} now",
    ]
    assert whys(traffic.moves(spec.at_router(), NEW, (NEW, OLD))) == [f"the router sends nothing to {OLD} now"]
    assert whys(traffic.moves(spec.at_router(), NEW, (NEW,))) == []


def test_a_router_is_started_with_its_server_and_left_alone_when_it_runs_as_wanted(spec):
    there = spec.at_router()
    wanted = router.role(there, traffic.router_of(there))
    text = router.servers_text([NEW])
    runs = RoleState(wanted.name, state="ready", alive=True, digest=wanted.digest())
    other = RoleState(wanted.name, state="ready", alive=True, digest="another")
    told, start, stop = f"the router is to send to {NEW}", "start the router", "stop the router: it is not as wanted"
    assert whys(traffic.plan(there, NEW, traffic.Seen(RoleState(""), ""))) == [told, start]
    assert whys(traffic.plan(there, NEW, traffic.Seen(runs, router.servers_text([OLD])))) == [told]
    assert whys(traffic.plan(there, NEW, traffic.Seen(runs, text))) == []
    assert whys(traffic.plan(there, NEW, traffic.Seen(other, text))) == [stop, start]


def test_which_server_it_sends_to_is_no_part_of_the_routers_identity(spec):
    one, other = spec.at_router(), spec.swapped().at_router()
    assert router.role(one, one.beside.router).digest() == router.role(other, other.beside.router).digest()


def test_the_plan_of_a_file_begins_with_the_servers_and_ends_with_the_router(spec):
    stages = [stage for stage, _ in planned(spec, "")]
    assert stages[-1] == "traffic"
    assert [action.host for stage, action in planned(spec, "") if stage == "traffic"] == ["router", "router"]


def test_traffic_moves_without_a_new_start_of_the_router_and_a_new_start_finds_where_to(site):
    first = traffic.converge(site, OLD)
    began = role(site.head, site.root, "swapped.router").started_at
    assert (first.actions, traffic.servers(site)) == (2, (OLD,))
    moved = traffic.converge(site, NEW)
    assert (moved.actions, traffic.servers(site)) == (3, (NEW,))
    assert role(site.head, site.root, "swapped.router").started_at == began
    with pytest.raises(NotConverged, match="wanted is http://unhealthy:8000"):
        traffic.converge(site, "http://unhealthy:8000")
    assert traffic.stop(site) == 2
    assert traffic.converge(site, NEW).actions == 2
    assert traffic.stop(site) == 2
    assert traffic.stop(site) == 0


def test_a_router_that_does_not_start_is_named_with_what_it_said(site, tmp_path):
    (tmp_path / "site" / "vllm_router" / "launch_router.py").write_text("raise SystemExit('no such policy')")
    with pytest.raises(ServerDied, match="no such policy"):
        traffic.converge(site, OLD)


class TestPreflight:
    def test_an_environment_without_the_router_is_named_before_anything_starts(self, site):
        check = traffic.fit(site)
        assert (check.host, check.state) == ("router", State.FAIL)
        assert "No module named 'vllm_router_rs'" in check.found
        assert "include/environments/router.txt" in check.next_step

    def test_one_that_has_it_is_fit_and_a_taken_port_is_not(self, site, tmp_path):
        (tmp_path / "site" / "vllm_router_rs.py").touch()
        (tmp_path / "site" / "vllm_router" / "launch_router.py").write_text("")
        assert traffic.fit(site).state is State.OK
        with socket.create_server(("127.0.0.1", traffic.router_of(site.spec).port)):
            assert "is held by" in traffic.fit(site).found


class TestDrained:
    def test_it_waits_until_the_server_has_no_request(self, site, monkeypatch):
        left = iter([3.0, 1.0, 0.0, 2.0, 0.0, 0.0, 0.0])
        metrics = "vllm:num_requests_running {}\nvllm:num_requests_waiting 0\n"
        monkeypatch.setattr(traffic, "LOOK_EVERY_S", 0.0)
        monkeypatch.setattr(traffic, "metrics_text", lambda host, spec: metrics.format(next(left)))
        assert traffic.drained(site, 600)["left"] == 0
        assert list(left) == []

    def test_not_for_ever(self, site, monkeypatch):
        monkeypatch.setattr(traffic, "metrics_text", lambda host, spec: "vllm:num_requests_running 2\n")
        assert traffic.drained(site, 0)["left"] == 2
