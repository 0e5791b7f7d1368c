"""The points of a sweep: which there are, what each serves, and what makes two of them the same measurement."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slipway.errors import SpecError
from slipway.spec import DeploymentSpec, SweepOverrides, canonical, load_deployment, parse_canonical, parse_overrides
from slipway.spec.points import point_digest, point_named, points

ROOT = Path(__file__).parents[3]
DEMO = load_deployment(ROOT / "include" / "deployments" / "demo.yaml")


def swept(**conf) -> DeploymentSpec:
    return parse_overrides(conf, DEMO, SweepOverrides)[0]


def loads(point) -> list[str]:
    return [level.load for level in point.spec.benchmark.levels]


def test_a_grid_tries_each_with_each():
    grid = {"serve.args.max-num-seqs": [1, 16], "serve.backend": ["ray", "mp"]}
    found = points(swept(grid=grid))
    assert [point.name for point in found] == [
        "1: max-num-seqs=1 backend=ray",
        "2: max-num-seqs=1 backend=mp",
        "3: max-num-seqs=16 backend=ray",
        "4: max-num-seqs=16 backend=mp",
    ]
    assert [(p.spec.serve.args["max-num-seqs"], p.spec.serve.backend) for p in found if p.spec] == [
        (1, "ray"),
        (1, "mp"),
        (16, "ray"),
        (16, "mp"),
    ]
    assert found[0].spec.serve.args["dtype"] == "bfloat16"
    assert loads(found[0]) == ["1 users", "4 users"]


def test_the_points_of_a_revision_are_those_of_the_file_in_whatever_order_its_keys_stand():
    grid = {"serve.backend": ["ray", "mp"], "serve.args.max-num-seqs": [1, 16]}
    further = [{"serve.tensor_parallel": 1, "serve.pipeline_parallel": 1, "serve.args.hf-overrides": {"b": 1, "a": 2}}]
    spec = swept(grid=grid, points=further)
    assert [point.name for point in points(spec)] == [
        "1: max-num-seqs=1 backend=ray",
        "2: max-num-seqs=1 backend=mp",
        "3: max-num-seqs=16 backend=ray",
        "4: max-num-seqs=16 backend=mp",
        '5: hf-overrides={"a": 2, "b": 1} pipeline_parallel=1 tensor_parallel=1',
    ]
    kept = parse_canonical(canonical(spec))
    assert [point_named(kept, point.name).settings for point in points(spec)] == [p.settings for p in points(spec)]


def test_points_that_differ_in_their_load_alone_are_served_once():
    grid = {"serve.args.max-num-seqs": [1, 16], "benchmark.users": [2, 8]}
    further = [{"serve.args.max-num-seqs": 16, "benchmark.rate": 1.5}, {"serve.args.max-num-seqs": 16}]
    found = points(swept(grid=grid, points=further))
    assert [loads(point) for point in found] == [
        ["2 users", "8 users"],
        ["1 users", "4 users", "2 users", "8 users", "1.5 req/s"],
    ]


def test_levels_with_a_shape_are_of_the_points_without_a_load():
    shaped = DEMO.model_dump(mode="json")
    shaped["benchmark"]["levels"] = [{"users": 1}, {"steps": [{"rate": 5, "seconds": 3}, {"rate": 9, "seconds": 3}]}]
    shaped["sweep"] = {"points": [{"serve.backend": "mp"}, {"benchmark.users": 2}]}
    spec = DeploymentSpec.model_validate_json(json.dumps(shaped))
    assert [loads(point) for point in points(spec)] == [
        ["1 users", "5 req/s for 3 s, 9 req/s for 3 s"],
        ["2 users"],
    ]


def test_a_level_of_the_file_keeps_how_its_users_come():
    [point] = points(swept(points=[{"benchmark.users": 4}]))
    assert point.words == "as the file says"
    assert point.spec.benchmark.levels == (DEMO.benchmark.levels[1],)


def test_what_the_types_refuse_is_a_point_that_fails():
    first, second = points(swept(points=[{"serve.tensor_parallel": 2}, {"serve.env.VLLM_LOGGING_LEVEL": "DEBUG"}]))
    assert first.spec is None
    assert "tensor_parallel x pipeline_parallel = 2 GPUs, but the hosts have 1" in first.fault
    assert second.spec.serve.env["VLLM_LOGGING_LEVEL"] == "DEBUG"
    assert second.words == "VLLM_LOGGING_LEVEL=DEBUG"


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ({"points": [{"serve.args.port": 1}]}, "serve.args.port: not here, `serve.port` decides it"),
        ({"grid": {"serve.args.middleware": ["x"]}}, "serve.args.middleware: denied"),
        ({"grid": {"serve.root": ["x"]}}, "'serve.root' cannot be swept; known: serve.args.NAME"),
        ({"grid": {}}, "make 0 points"),
        ({"grid": {"serve.args.max-num-seqs": list(range(257))}}, "make 257 points; 1 to 256"),
    ],
)
def test_what_no_file_can_mean_is_refused_at_once(conf, said):
    with pytest.raises(SpecError, match="conf: ") as error:
        swept(**conf)
    assert said in str(error.value)


def test_a_file_without_points_has_nothing_to_sweep():
    with pytest.raises(SpecError, match="nothing to sweep"):
        points(DEMO)


def test_goodput_needs_limits():
    sweep = {"grid": {"serve.backend": ["mp"]}, "objective": "goodput_per_s"}
    data = json.dumps({**DEMO.model_dump(mode="json"), "sweep": sweep})
    with pytest.raises(ValueError, match=r"goodput_per_s needs the limits of `benchmark\.slo`"):
        DeploymentSpec.model_validate_json(data)


def test_one_of_grid_and_points_in_the_conf_replaces_both():
    spec = swept(grid={"serve.backend": ["ray", "mp"]})
    narrowed, _ = parse_overrides({"points": [{"serve.backend": "mp"}]}, spec, SweepOverrides)
    assert [point.words for point in points(narrowed)] == ["backend=mp"]
    same, _ = parse_overrides({"seconds": 5}, spec, SweepOverrides)
    assert len(points(same)) == 2


def test_a_point_is_found_by_its_name():
    spec = swept(grid={"serve.backend": ["ray", "mp"]})
    assert point_named(spec, "2: backend=mp").number == 2
    with pytest.raises(SpecError, match="no point '3: x'"):
        point_named(spec, "3: x")


def test_the_digest_is_of_what_is_measured():
    [point] = points(swept(points=[{"serve.backend": "mp"}]))
    known = point_digest(point.spec, "vllm==1")
    [elsewhere] = points(swept(points=[{"serve.backend": "mp", "benchmark.users": 9}]))
    told = elsewhere.spec.model_copy(update={"description": "another", "when_busy": "refuse"})
    assert point_digest(told, "vllm==1") == known
    assert point_digest(point.spec, "vllm==2") != known
    [longer] = points(swept(points=[{"serve.backend": "mp"}], seconds=7))
    assert point_digest(longer.spec, "vllm==1") != known


def test_the_example_is_a_file_that_sweeps():
    spec = load_deployment(ROOT / "docs" / "examples" / "sweep.yaml")
    assert [(point.words, loads(point)) for point in points(spec)] == [
        *((f"max-num-seqs={seqs} backend={by}", ["1 users", "4 users"]) for seqs in (2, 16) for by in ("ray", "mp")),
        ("max-num-seqs=8", ["8 users"]),
    ]
