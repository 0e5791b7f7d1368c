"""A start as it is watched: real processes under Slipway's agent, that read, stand still, are stopped, or die."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from slipway.commands import agent, kit, vllm
from slipway.commands.agent import Role
from slipway.errors import NotPlaced, NotReady, ServerDied, ServerWedged
from slipway.facts import ray as clusters
from slipway.facts import vllm as vllm_facts
from slipway.facts.role import log_since, role
from slipway.hosts import LocalHost
from slipway.shell import Command
from slipway.spec import parse_deployment
from slipway.stages import liveness, watch
from slipway.stages.ready import attend
from slipway.stages.site import Site
from slipway.stages.watch import Mark, Watch

SERVER = Path(__file__).parent / "server.py"
DEPLOYMENT = """
version: 1
name: one
root: {root}
hosts: [{{name: here, address: 127.0.0.2, gpus: 1}}]
environment: {{existing: /opt/python}}
weights: {{source: /m, name: m}}
serve: {{model_name: m, port: {port}, backend: mp}}
smoke: {{timeout_s: 1}}
benchmark: {{levels: [{{users: 1}}]}}
"""
LOADS = "INFO NOW [gpu_model_runner.py:1] Starting to load model /m..."
SILENT = "INFO NOW [shm_broadcast.py:542] No available shared memory broadcast block found in {} seconds."
WAITS = "INFO NOW [ray_utils.py:467] Waiting for creating a placement group of specs for {} seconds. specs=[]"


@dataclass
class Bed:
    site: Site
    orders: Path
    said: list[str]

    def order(self, **orders: Any) -> None:
        beside = self.orders.with_suffix(".new")
        beside.write_text(json.dumps(orders))
        beside.replace(self.orders)

    def start(self, **orders: Any) -> None:
        self.order(**orders)
        port = self.site.spec.serve.port
        server = Role(
            name=vllm.role_name(self.site.spec),
            steps=(Command((sys.executable, str(SERVER), str(self.orders), str(port))),),
            server=True,
            ready_url=f"http://127.0.0.1:{port}/health",
        )
        kit.reply(self.site.head.run(agent.start(self.site.root, server)))

    def state(self):
        return role(self.site.head, self.site.root, vllm.role_name(self.site.spec))

    def log(self) -> str:
        return log_since(self.site.head, self.site.root, vllm.role_name(self.site.spec), 0)[0]

    def until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 15
        while not true():
            assert time.monotonic() < deadline, self.said
            time.sleep(0.1)

    def ready(self) -> None:
        self.until(lambda: self.state().ready_at is not None)

    def signal(self, number: signal.Signals) -> None:
        os.killpg(self.state().session, number)

    def watch(self, patience_s: float = 60.0, no_progress_s: int = 60, **more: Any) -> Watch:
        spec = self.site.spec
        limits = {"no_progress_s": no_progress_s, "ready_timeout_s": int(patience_s)}
        hurried = spec.model_copy(update={"serve": spec.serve.model_copy(update=limits)})
        return Watch(dataclasses.replace(self.site, spec=hurried), time.time() + patience_s, **more)

    def look_for(self, seconds: float, watched: Watch) -> None:
        """Looks, none of which finds an end."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert watched.look() is None
            time.sleep(0.2)


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port = trial.getsockname()[1]
    spec = parse_deployment(DEPLOYMENT.format(root=tmp_path / "root", port=port), origin="one.yaml", base=Path("/"))
    said: list[str] = []
    site = Site(spec, {"here": LocalHost("here")}, "", said.append)
    site.prepare()
    yield Bed(site, tmp_path / "orders.json", said)
    kit.reply(site.head.run(agent.stop(site.root, vllm.role_name(spec))))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slipway.stages.ready.LOOK_EVERY_S", 0.2)
    monkeypatch.setattr(vllm_facts, "PULSE_S", 0.5)


def test_a_silent_load_that_reads_is_waited_for_and_one_that_was_stopped_is_not(bed):
    bed.start(says=[LOADS], reads=400_000_000)
    watched = bed.watch(no_progress_s=2)
    bed.look_for(4.0, watched)
    bed.signal(signal.SIGSTOP)
    began = time.monotonic()
    with pytest.raises(NotReady, match=r"stands still in the phase weights: for [2-4] s no new line in its log"):
        bed.look_for(20, watched)
    assert 1.5 < time.monotonic() - began < 8
    bed.signal(signal.SIGCONT)


def test_a_process_that_waits_is_given_up_and_lines_of_waiting_do_not_help(bed):
    bed.start(says=[SILENT.format(60)])
    watched = bed.watch(no_progress_s=2)
    lines = itertools.count(2)

    def look_and_wait() -> None:
        for _ in range(40):
            bed.order(says=[SILENT.format(60 * count) for count in range(next(lines))])
            assert watched.look() is None
            time.sleep(0.2)

    with pytest.raises(NotReady, match="stands still in the phase process"):
        look_and_wait()


def test_the_budget_is_the_end_also_where_it_works(bed):
    bed.start(says=[LOADS], reads=400_000_000)
    with pytest.raises(NotReady, match=r"no completion within 2 s; the server is in the phase weights"):
        bed.look_for(20, bed.watch(patience_s=2.0))


def test_a_process_that_dies_ends_it_at_once(bed):
    bed.start(says=[LOADS, "RuntimeError: no room"], reads=400_000_000)
    watched = bed.watch()
    bed.look_for(1.0, watched)
    bed.signal(signal.SIGKILL)
    bed.until(lambda: not bed.state().alive)
    with pytest.raises(ServerDied, match=r"(?s)vLLM ended: signal 9.*RuntimeError: no room"):
        watched.look()


def test_a_start_to_its_first_completion(bed):
    bed.start(says=[LOADS])
    watched = bed.watch()
    assert attend(watched, 1.0) is None
    bed.order(
        says=[LOADS, "Loading safetensors checkpoint shards:  40% Completed | 2/5"], completion="hangs", ready=True
    )
    bed.until(lambda: watched.look() is None and watched.detail["phase"] == "weights 40%")
    bed.order(says=[LOADS, "INFO NOW [core.py:1] init engine (profile) took 1 s"], completion="answers", ready=True)
    outcome = attend(watched)
    phases = {phase["name"]: phase["seconds"] for phase in outcome.detail["phases"]}
    assert list(phases) == ["process", "weights", "completion"]
    assert outcome.detail["time_to_ready_s"] == pytest.approx(sum(phases.values()), abs=0.01)
    assert outcome.detail["began_at"] == bed.state().began_at
    assert "phase: weights 40%" in bed.said
    assert len([line for line in bed.said if "Starting to load model" in line]) == 1
    json.dumps(outcome.detail, allow_nan=False)


def test_another_watch_goes_on_where_the_first_was(bed):
    bed.start(says=[LOADS])
    first = bed.watch()
    bed.until(lambda: first.look() is None and first.detail["phase"] == "weights")
    bed.said.clear()
    second = bed.watch(mark=Mark(**json.loads(json.dumps(vars(first.mark)))))
    assert second.look() is None
    assert second.detail["phase"] == "weights", "the phases are read again"
    assert not [line for line in bed.said if "Starting to load" in line], "and not said again"
    bed.order(says=[LOADS, "INFO NOW [x.py:1] Loading weights took 3 seconds"])
    bed.until(lambda: second.look() is None and second.detail["phase"] == "compile")
    assert [line.partition("] ")[2][:4] for line in bed.said if line.startswith("[here]")] == ["INFO"]


def test_the_time_that_a_watch_has_seen_no_move_goes_with_it(bed):
    bed.start(says=[LOADS])
    bed.until(lambda: "Starting to load" in bed.log())
    stale = Mark(shown=1 << 20, moved_at=time.time() - 60)
    with pytest.raises(NotReady, match=r"for 6[0-9] s no new line"):
        bed.watch(no_progress_s=30, mark=stale).look()


def test_a_start_that_is_known_is_not_told_twice(bed):
    bed.start(says=[LOADS], ready=True)
    bed.ready()
    began_at = bed.state().began_at
    assert "time_to_ready_s" in attend(bed.watch()).detail
    known = attend(bed.watch(known=began_at))
    assert known.detail == {"restarts": 0}
    assert "time_to_ready_s" in attend(bed.watch(known=began_at - 1)).detail


def test_an_engine_that_was_up_and_hangs(bed):
    bed.start(ready=True, completion="hangs")
    bed.ready()
    with pytest.raises(ServerWedged, match="the engine hangs: 3 completions of one token"):
        attend(bed.watch())
    with pytest.raises(ServerWedged):
        liveness.converge(bed.site)


def test_an_engine_that_is_saturated_is_not_wedged(bed):
    bed.start(ready=True, completion="hangs", counts=True)
    bed.ready()
    watched = bed.watch()
    for _ in range(4):
        assert watched.look() is None
    assert liveness.converge(bed.site).detail["engine"] == "saturated"
    bed.order(ready=True, completion="answers")
    assert watched.look() is not None
    assert liveness.converge(bed.site).detail["engine"] == "answers"


def test_of_an_engine_that_starts_nothing_is_judged(bed):
    bed.start(says=[LOADS])
    assert liveness.converge(bed.site).detail["engine"] == "starting"


def test_a_server_that_says_nothing_at_all(bed, monkeypatch):
    monkeypatch.setattr(vllm_facts, "ASIDE_S", 0.2)
    bed.start(ready=True)
    bed.ready()
    bed.signal(signal.SIGSTOP)
    with pytest.raises(NotReady, match="do not tell why"):
        liveness.converge(bed.site)
    bed.signal(signal.SIGCONT)


def test_a_placement_group_that_waits_with_all_gpus_there(bed, monkeypatch):
    ours, theirs = (
        clusters.PlacementGroup(name, (f"1 GPU on {place}",))
        for name, place in (("01", clusters.NOWHERE), ("02", "127.0.0.2"))
    )
    asked: list[str] = []

    def cluster(host, spec, interpreter):
        asked.append(interpreter)
        return clusters.Cluster({"127.0.0.2": 1.0}, (ours, theirs) if len(asked) > 1 else (ours.__class__("03"),))

    monkeypatch.setattr(watch.clusters, "cluster", cluster)
    placing = "INFO NOW [ray_utils.py:607] No current placement group found. Creating a new placement group."
    bed.start(says=[placing, WAITS.format(10)])
    watched = bed.watch()
    bed.until(lambda: watched.look() is None and len(asked) == 1)
    assert watched.look() is None
    assert len(asked) == 1, "asked again only when Ray's wait has grown"
    bed.order(says=[placing, WAITS.format(30)])
    with pytest.raises(NotPlaced, match=r"for 30 s, though all 1 GPUs .* held by placement group 02 \(1 GPU on 127"):
        bed.look_for(20, watched)
