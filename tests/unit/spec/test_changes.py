from __future__ import annotations

from pathlib import Path

import pytest

from slipway.spec import DeploymentSpec, load_deployment
from slipway.spec.changes import Change, changes, differing

DEMO = Path(__file__).parents[3] / "include" / "deployments" / "demo.yaml"


@pytest.fixture(scope="module")
def demo() -> DeploymentSpec:
    return load_deployment(DEMO)


def changed(spec: DeploymentSpec, **parts: dict[str, object]) -> DeploymentSpec:
    """The deployment with keys of some of its parts changed, checked as a whole."""
    data = spec.model_dump(mode="json")
    for part, keys in parts.items():
        data[part] = {**data[part], **keys} if isinstance(data[part], dict) else keys
    return DeploymentSpec.model_validate(data, strict=False)


def test_the_same_has_no_changes(demo):
    assert changes(demo, demo, "vllm==1\n", "vllm==1\n") == ()


def test_each_key_is_named_by_its_place(demo):
    args = {**demo.serve.args, "max-num-seqs": 8, "block-size": 32}
    del args["dtype"]
    assert changes(demo, changed(demo, serve={"args": args, "port": 28001})) == (
        Change("serve.args.block-size", None, 32),
        Change("serve.args.dtype", "bfloat16", None),
        Change("serve.args.max-num-seqs", 16, 8),
        Change("serve.port", 28000, 28001),
    )


def test_hosts_and_levels_go_by_their_names(demo):
    levels = [{"users": 4, "spawn_rate": 2.0}, {"rate": 2.5}]
    data = changed(demo, benchmark={"levels": levels}).model_dump(mode="json")
    data["hosts"][0]["gpus"] = 2
    found = {
        change.key: (change.old, change.new)
        for change in changes(demo, DeploymentSpec.model_validate(data, strict=False))
    }
    assert found == {
        "benchmark.levels.1.processes": (1, None),
        "benchmark.levels.1.rate": (0.0, None),
        "benchmark.levels.1.spawn_rate": (1.0, None),
        "benchmark.levels.1.steps": ([], None),
        "benchmark.levels.1.users": (1, None),
        "benchmark.levels.4.spawn_rate": (4.0, 2.0),
        "benchmark.levels.2.5_per_s.processes": (None, 1),
        "benchmark.levels.2.5_per_s.rate": (None, 2.5),
        "benchmark.levels.2.5_per_s.spawn_rate": (None, 10.0),
        "benchmark.levels.2.5_per_s.steps": (None, []),
        "benchmark.levels.2.5_per_s.users": (None, 0),
        "hosts.here.gpus": (1, 2),
    }


def test_a_list_of_values_is_one_value(demo):
    new = demo.model_copy(update={"tags": ("a", "b")})
    assert changes(demo, new) == (Change("tags", [], ["a", "b"]),)


def test_lock_files_differ_by_their_pins(demo):
    old, new = "vllm==0.32.0\nray==2.60.0\n", "vllm==0.33.0 ; python_version > '3'\nray==2.60.0\nnumpy==2.0 \\\n"
    assert changes(demo, demo, old, new) == (
        Change("lock.numpy", None, "2.0"),
        Change("lock.vllm", "0.32.0", "0.33.0"),
    )


def test_lock_files_that_differ_in_no_pin_differ_all_the_same(demo):
    [change] = changes(demo, demo, "vllm==1 --hash=sha256:0\n", "vllm==1 --hash=sha256:1\n")
    assert change.key == "lock"
    assert change.old != change.new


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ({"a": 1}, {"a": 1}, ()),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, (Change("a.b", 1, 2),)),
        ({"a": 1}, {"b": 1}, (Change("a", 1, None), Change("b", None, 1))),
        ({"a": [{"b": 1}]}, {"a": [{"b": 1}, {"b": 2}]}, (Change("a.1.b", None, 2),)),
        ({"a": {}}, {"a": {"b": True}}, (Change("a", {}, None), Change("a.b", None, True))),
        ({"a": 1}, {"a": 1, "b": {"c": 2}}, (Change("b.c", None, 2),)),
        ({}, {"a": 1}, (Change("a", None, 1),)),
        ({"a": None}, {"a": 0}, (Change("a", None, 0),)),
    ],
)
def test_differences_are_found_leaf_by_leaf(old, new, found):
    assert differing(old, new) == found
