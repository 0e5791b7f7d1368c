"""What a cluster lacks, or has too much of, in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway.facts.ray import Cluster, PlacementGroup, in_the_way, missing, parse_cluster, server_groups
from slipway.spec import DeploymentSpec, parse_deployment

TWO_HOSTS = """
version: 1
name: pair
root: /srv/slipway
hosts: [{name: a, address: 10.0.0.1, gpus: 8}, {name: b, address: 10.0.0.2, gpus: 8}]
environment: {existing: /opt/python}
weights: {source: /shared/tiny, name: tiny}
serve: {model_name: tiny, tensor_parallel: 8, pipeline_parallel: 2}
benchmark: {levels: [{users: 1}]}
"""
WHOLE = {"10.0.0.1": 8.0, "10.0.0.2": 8.0}
OURS = PlacementGroup("01", ("1 GPU on 10.0.0.1", "1 GPU on 10.0.0.2"))
THEIRS = PlacementGroup("02", ("4 GPU on 10.0.0.2",))


@pytest.fixture
def spec() -> DeploymentSpec:
    return parse_deployment(TWO_HOSTS, origin="pair.yaml", base=Path("/"))


def answer(state: str = "CREATED", node_id: str = "bb") -> dict[str, object]:
    node = {"name": "x", "cpus": 4.0, "gpus": 8.0}
    return {
        "nodes": [
            {**node, "address": "10.0.0.1", "alive": True, "node_id": "aa"},
            {**node, "address": "10.0.0.2", "alive": True, "node_id": "bb"},
            {**node, "address": "10.0.0.2", "alive": False, "node_id": "cc", "gpus": 1.0},
        ],
        "placement_groups": [
            {"id": "02", "state": state, "bundles": [{"node_id": node_id, "resources": {"GPU": 4.0}}]},
        ],
    }


def test_alive_nodes_and_groups_are_read():
    assert parse_cluster(answer()) == Cluster(WHOLE, (THEIRS,))


@pytest.mark.parametrize("state", ["PENDING", "PREPARED", "CREATED", "RESCHEDULING"])
def test_a_group_counts_until_it_is_removed(state):
    assert len(parse_cluster(answer(state)).placement_groups) == 1
    assert parse_cluster(answer("REMOVED")).placement_groups == ()


def test_a_bundle_without_a_place_says_so():
    [group] = parse_cluster(answer("PENDING", node_id="ff")).placement_groups
    assert group.bundles == ("4 GPU on no host yet",)


def test_nothing_is_missing_where_all_is_as_asked(spec):
    assert missing(spec, Cluster(WHOLE)) == []
    assert missing(spec, Cluster(WHOLE, (OURS,)), own_groups=1) == []
    assert missing(spec, Cluster(WHOLE), own_groups=1) == [], "a server that starts has none yet"


def test_each_host_that_differs_is_named(spec):
    assert missing(spec, Cluster({"10.0.0.1": 7.0, "10.0.0.9": 8.0})) == [
        "a (10.0.0.1) has 7 GPUs, wanted 8",
        "b (10.0.0.2) has not joined",
        "10.0.0.9 is in the cluster and not in the file",
    ]


def test_a_group_without_our_server_is_somebody_elses(spec):
    [told] = missing(spec, Cluster(WHOLE, (THEIRS,)))
    assert told.startswith("somebody else uses the cluster, our server does not run")
    assert told.endswith("placement group 02 (4 GPU on 10.0.0.2)")


def test_more_groups_than_ours_are_somebody_elses(spec):
    [told] = missing(spec, Cluster(WHOLE, (OURS, THEIRS)), own_groups=1)
    assert "of 2 placement groups our server has only 1" in told
    assert "placement group 01 (1 GPU on 10.0.0.1, 1 GPU on 10.0.0.2); placement group 02 (4 GPU on 10.0.0.2)" in told


def test_a_silent_cluster_lacks_an_answer_and_nothing_else(spec):
    assert missing(spec, Cluster({}, error="refused")) == ["Ray does not answer: refused"]


def test_a_server_holds_a_group_for_each_copy_of_the_model(spec):
    copies = spec.serve.model_copy(update={"args": {"data-parallel-size": 2}})
    assert server_groups(spec) == 1
    assert server_groups(spec.model_copy(update={"serve": copies})) == 2


PENDING = PlacementGroup("03", ("1 GPU on 10.0.0.1", "1 GPU on no host yet"))


@pytest.mark.parametrize(
    ("cluster", "said"),
    [
        (Cluster(WHOLE, (THEIRS, PENDING)), "placement group 02 (4 GPU on 10.0.0.2)"),
        (Cluster(WHOLE, (PENDING,)), "a task or an actor that is in no placement group"),
        (Cluster(WHOLE, (OURS,)), ""),  # it was placed meanwhile
        (Cluster({"10.0.0.1": 8.0}, (THEIRS, PENDING)), ""),  # a host is missing: that is why it waits
        (Cluster({}, error="refused"), ""),
    ],
)
def test_who_is_in_the_way_of_a_group_that_waits(spec, cluster, said):
    assert in_the_way(spec, cluster) == said
