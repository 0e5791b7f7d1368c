"""The network proof's plan, and what is said of ranks that did not come to the end."""

from __future__ import annotations

import json
import threading

import pytest

from slipway.commands import ray, vllm
from slipway.errors import HostUnfit, NotConverged
from slipway.shell import Command, Result
from slipway.stages import network, serve
from slipway.stages.network import Said
from slipway.stages.site import Site

PYTHON = "/srv/slipway/environments/e/bin/python"


def rank(number: int, phase: str = "done", error: str = "", **more: object) -> dict[str, object]:
    return {"rank": number, "phase": phase, "error": error, "hung": phase != "done" and not error, "via": [], **more}


def failure(spec, *said: Said) -> Exception:
    with pytest.raises((NotConverged, HostUnfit)) as caught:
        network.require_whole(spec, said, 50)
    return caught.value


class TestPlan:
    def test_one_round_on_all_hosts_with_every_rank_once(self, spec):
        [actions] = network.plan(spec, PYTHON)
        requests = {action.host: json.loads(action.command.stdin) for action in actions}
        assert {name: (r["first"], r["ranks"]) for name, r in requests.items()} == {"a": (0, 2), "b": (2, 2)}
        for request in requests.values():
            assert (request["backend"], request["world"], request["large_bytes"]) == ("nccl", 4, 64 << 20)
            assert request["store"] == ["10.0.0.1", spec.ray.ports.block + 9]
        assert [action.why for action in actions] == ["prove the network, rank 0, 1", "prove the network, rank 2, 3"]

    @pytest.mark.parametrize("backend", ["ray", "mp"])
    def test_the_variables_are_those_of_the_servers_ranks_on_each_host(self, spec, backend):
        own = spec.serve.model_copy(update={"backend": backend})
        chosen = spec.model_copy(update={"serve": own, "env": {"NCCL_IB_HCA": "mlx5_0"}})
        [actions] = network.plan(chosen, PYTHON)
        for action, host in zip(actions, chosen.hosts, strict=True):
            assert (action.command.env["VLLM_HOST_IP"], action.command.env["NCCL_IB_HCA"]) == (host.address, "mlx5_0")
            if backend == "ray":
                assert ray.env(chosen, host).items() <= action.command.env.items()
        envs = {action.host: action.command.env for action in actions}
        for name, part in serve.wanted(chosen, PYTHON, "/model").items():
            assert part.steps[0].env == {**vllm.QUIET, **envs[name]}

    def test_a_minute_at_most(self, spec):
        [actions] = network.plan(spec, PYTHON)
        assert all(action.command.timeout_s <= 60 for action in actions)
        assert all(json.loads(action.command.stdin)["seconds"] < action.command.timeout_s for action in actions)

    def test_the_store_is_on_no_port_of_ray(self, spec):
        [[action, _]] = network.plan(spec, PYTHON)
        port = json.loads(action.command.stdin)["store"][1]
        assert port not in {port for host in spec.hosts for port in ray.ports(spec, host)}
        assert port in range(spec.ray.ports.block, spec.ray.ports.block + 10)

    def test_a_host_without_gpus_takes_no_part(self, spec):
        hosts = (spec.hosts[0].model_copy(update={"gpus": 0}), spec.hosts[1])
        [actions] = network.plan(spec.model_copy(update={"hosts": hosts}), PYTHON)
        assert [(action.host, json.loads(action.command.stdin)["first"]) for action in actions] == [("b", 0)]

    @pytest.mark.parametrize(
        ("gpus", "rehearsal", "reason"),
        [
            (1, True, "there is one rank only, and no GPU"),
            (1, False, ""),
            (2, True, ""),
            (0, False, "no host gives a GPU"),
        ],
    )
    def test_where_there_is_nothing_to_prove(self, spec, gpus, rehearsal, reason):
        hosts = (spec.hosts[0].model_copy(update={"gpus": gpus}),)
        one = spec.model_copy(update={"hosts": hosts, "rehearsal": rehearsal})
        assert network.needless(one) == reason
        assert bool(list(network.plan(one, PYTHON))) == (reason == "")


class TestFailures:
    def test_all_done_is_no_failure(self, spec):
        network.require_whole(spec, [Said("a", [rank(0), rank(1)]), Said("b", [rank(2), rank(3)])])

    def test_the_account_of_rank_0_says_who_did_not_arrive(self, spec):
        account = {"meet": [2, 3], "join": [0, 1, 2, 3], "done": [0, 1, 2, 3]}
        lost = "OSError: timed out"
        here = Said("a", [rank(0, "meet", missing=account), rank(1, "meet")])
        there = Said("b", [rank(2, "arrive", lost, after_s=47.0), rank(3, "arrive", lost, after_s=47.0)])
        error = failure(spec, here, there)
        assert isinstance(error, NotConverged)
        assert str(error).startswith(
            "network: 2 of 4 ranks did not arrive at 10.0.0.1:20009 within 50 s: [b] 10.0.0.2: rank 2, 3\n"
            f"[b] rank 2: {lost}\n[b] rank 3: {lost}\n  next: can these hosts open a TCP connection to 10.0.0.1:20009?"
        )

    def test_ranks_that_all_arrived_and_hang_are_told_by_phase_with_the_variables(self, spec):
        account = {"meet": [], "join": [3], "done": [0, 1, 2, 3]}
        here = Said("a", [rank(0, "measure", missing=account), rank(1, "measure")])
        error = failure(spec, here, Said("b", [rank(2, "measure"), rank(3, "join")]))
        told = "1 of 4 ranks did not come through the first collective within 50 s: [b] 10.0.0.2: rank 3\n"
        assert f"{told}[b] rank 3: stuck in phase join\n" in str(error)
        for variable in ("NCCL_SOCKET_IFNAME", "NCCL_IB_HCA", "GLOO_SOCKET_IFNAME", "firewall"):
            assert variable in error.hint

    def test_the_first_that_fails_by_itself_is_the_cause(self, spec):
        here = Said("a", [rank(0, "join", "RuntimeError: Connection closed by peer", after_s=9.0), rank(1, "join")])
        there = Said("b", [rank(2, "join"), rank(3, "join", "RuntimeError: no HCA", after_s=8.5, output="NCCL WARN x")])
        error = failure(spec, here, there)
        assert isinstance(error, HostUnfit)
        assert str(error).startswith("[b] rank 3 failed in phase join: RuntimeError: no HCA\nNCCL WARN x\n  next: ")

    def test_a_head_that_is_lost_leaves_what_the_others_say(self, spec):
        lost = Said("a", error="[a] connection lost")
        error = failure(spec, lost, Said("b", [rank(2, "arrive", "OSError: timed out"), rank(3, "meet")]))
        assert "4 of 4 ranks did not arrive" in str(error)
        assert "[a] 10.0.0.1: rank 0, 1; [b] 10.0.0.2: rank 2, 3\n[a] connection lost\n" in str(error)

    def test_a_host_that_gives_no_answer_is_named_though_the_others_are_done(self, spec):
        error = failure(spec, Said("a", [rank(0, missing={"done": []}), rank(1)]), Said("b", error="[b] no answer: x"))
        assert "2 of 4 ranks" in str(error)
        assert "[b] 10.0.0.2: rank 2, 3\n[b] no answer: x" in str(error)


@pytest.mark.parametrize("text", ["", "Traceback", "{}", "3"])
def test_a_program_that_gives_no_answer_is_quoted(text: str):
    said = network.parse_said(Result("b", Command(("python",)), 1, text, "cannot open shared object", 0.1))
    assert (said.ranks, said.error) == ((), "[b] no answer: cannot open shared object")


class Waiting:
    """A host whose ranks come to their end when those of all other hosts are there too."""

    def __init__(self, name: str, together: threading.Barrier) -> None:
        self.name, self._together = name, together

    def run(self, command: Command) -> Result:
        self._together.wait()
        number = json.loads(command.stdin)["first"]
        said = {"ranks": [rank(number, small_s=1e-5, large_s=1e-2)]}
        return Result(self.name, command, 0, json.dumps(said), "", 0.1)


def test_the_ranks_of_many_hosts_run_at_the_same_time(spec):
    names = [f"host{number}" for number in range(40)]
    hosts = tuple(spec.hosts[0].model_copy(update={"name": name, "address": name, "gpus": 1}) for name in names)
    together = threading.Barrier(len(hosts), timeout=10)
    site = Site(spec.model_copy(update={"hosts": hosts}), {name: Waiting(name, together) for name in names})
    assert network.prove(site).ranks == 40
