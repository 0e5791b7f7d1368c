from __future__ import annotations

import json
from pathlib import Path

import pytest

from slipway.spec import DeploymentSpec, load_deployment
from slipway.store.revisions import workload_id
from slipway.verdicts.kind import Kind, changed, hardware, unlike

FOLDER = Path(__file__).parents[3] / "include" / "deployments"
REAL = load_deployment(FOLDER / "deepseek-r1.yaml")
DEMO = load_deployment(FOLDER / "demo.yaml")


def gpus(name: str, count: int = 8, driver: str = "570.1"):
    return {"gpus": [{"name": name, "driver_version": driver}] * count, "kernel": "6.8"}


def found(name: str = "NVIDIA H800", **more):
    hosts = {host.name: gpus(name, **more) for host in REAL.hosts}
    return {"hosts": hosts, "hardware": hardware(REAL, hosts), "versions": {"vllm": "0.32.0", "torch": "2.13.0"}}


def served(**changes):
    return REAL.model_copy(update={"serve": REAL.serve.model_copy(update=changes)})


class TestHardware:
    def test_it_counts_the_accelerators_of_each_host(self):
        assert found()["hardware"] == "10.1.4.72: 8 x NVIDIA H800; 10.1.4.74: 8 x NVIDIA H800"

    def test_the_order_of_the_hosts_is_no_difference(self):
        turned = REAL.model_copy(update={"hosts": REAL.hosts[::-1]})
        assert hardware(turned, found()["hosts"]) == found()["hardware"]

    def test_in_rehearsal_the_processors_stand_for_them(self):
        facts = {"here": {"cpus": 2, "cpu_model": "AMD EPYC", "gpus": []}}
        assert hardware(DEMO, facts) == "127.0.0.2: 2 x AMD EPYC"

    def test_a_host_without_any_has_none(self):
        assert hardware(REAL, {}) == "10.1.4.72: none; 10.1.4.74: none"


class TestBothSides:
    """With spare hosts of the same kind, a run on one side has the other's history."""

    @pytest.fixture
    def spec(self):
        data = REAL.model_dump(mode="json")
        spare = [
            {**host, "name": f"spare-{n}", "connection": f"s{n}", "address": f"10.1.5.{n}"}
            for n, host in enumerate(data["hosts"])
        ]
        router = {"address": "10.1.4.1", "python": "/opt/router/bin/python"}
        data |= {"beside": {"hosts": spare, "router": router}, "redeploy": {"swap": "beside"}}
        return DeploymentSpec.model_validate_json(json.dumps(data))

    def run(self, spec, name: str) -> Kind:
        hosts = {host.name: gpus(name) for host in spec.hosts}
        return Kind(spec, {"hosts": hosts, "hardware": hardware(spec, hosts)})

    def test_they_are_compared(self, spec):
        assert workload_id(spec) == workload_id(spec.swapped()) != workload_id(REAL)
        assert unlike(self.run(spec, "NVIDIA H800"), self.run(spec.swapped(), "NVIDIA H800")) == []

    def test_but_not_where_the_spare_ones_are_others(self, spec):
        [why] = unlike(self.run(spec, "NVIDIA H800"), self.run(spec.swapped(), "NVIDIA H20"))
        assert "accelerator" in why


class TestUnlike:
    def test_other_arguments_and_versions_are_comparable(self):
        newer = {**found(), "versions": {"vllm": "0.33.0"}}
        assert unlike(Kind(served(args={}), newer), Kind(REAL, found())) == []

    def test_another_accelerator_is_not(self):
        [why] = unlike(Kind(REAL, found("NVIDIA H20")), Kind(REAL, found()))
        assert why.startswith("accelerator 10.1.4.72: 8 x NVIDIA H800;")
        assert why.endswith("10.1.4.74: 8 x NVIDIA H20 now")

    @pytest.mark.parametrize(
        ("update", "told"),
        [
            ({"rehearsal": True}, "rehearsal false then, true now"),
            ({"hosts": REAL.hosts[:1]}, "hosts 10.1.4.72 (8 GPUs), 10.1.4.74 (8 GPUs) then, 10.1.4.72 (8 GPUs) now"),
            (
                {"benchmark": REAL.benchmark.model_copy(update={"prompt_tokens": 64})},
                "benchmark.prompt_tokens 32 then, 64 now",
            ),
        ],
    )
    def test_each_difference_is_named(self, update, told):
        assert unlike(Kind(REAL.model_copy(update=update), found()), Kind(REAL, found())) == [told]


class TestChanged:
    def test_versions_drivers_and_arguments_are_named(self):
        now = {**found(driver="580.2"), "versions": {"vllm": "0.33.0", "torch": "2.13.0"}}
        args = {**REAL.serve.args, "max-num-seqs": 256}
        told = changed(Kind(served(args=args), now), [Kind(REAL, found())] * 3)
        assert told == [
            "node-72: driver 570.1 -> 580.2",
            "node-74: driver 570.1 -> 580.2",
            "serve.args.max-num-seqs 512 -> 256",
            "vllm 0.32.0 -> 0.33.0",
        ]

    def test_what_came_and_what_went_is_named(self):
        now = served(args={name: value for name, value in REAL.serve.args.items() if name != "dtype"})
        assert changed(Kind(now, found()), [Kind(REAL, found())]) == ["serve.args.dtype float16 -> none"]

    def test_the_first_of_several_keys_is_one_change(self):
        before, now = Kind(served(env={}), found()), Kind(served(env={"A": "1"}), found())
        assert changed(now, [before]) == ["serve.env.A none -> 1"]
        assert changed(before, [now]) == ["serve.env.A 1 -> none"]

    def test_it_is_held_against_what_mostly_was(self):
        history = [Kind(served(port=30001), found()), Kind(REAL, found()), Kind(REAL, found())]
        assert changed(Kind(served(port=30001), found()), history) == ["serve.port 30000 -> 30001"]
        assert changed(Kind(REAL, found()), history) == []

    def test_no_value_of_a_secret_is_told(self):
        now = served(env={"HF_TOKEN": "canary"})
        assert [each for each in changed(Kind(now, found()), [Kind(REAL, found())]) if "HF_TOKEN" in each] == [
            "serve.env.HF_TOKEN changed"
        ]

    def test_without_a_history_nothing_has_changed(self):
        assert changed(Kind(REAL, found()), []) == []
