"""Which stages act for a change: the same digests decide it as in the stages' own plans."""

from __future__ import annotations

import pytest

from slipway.commands import python_env, ray
from slipway.errors import SpecError
from slipway.facts.role import RoleState
from slipway.stages import ray_cluster, serve
from slipway.stages.difference import difference, from_running, require_same_root
from slipway.store import RunStart, open_store, schema

LOCK = "vllm==0.33.0\nray==2.60.0\n"


def with_part(spec, part, **keys):
    return spec.model_copy(update={part: getattr(spec, part).model_copy(update=keys)})


def acts(old, new, new_lock=LOCK):
    return difference(old, new, LOCK, new_lock).acts


def test_nothing_changed_nothing_acts(spec):
    same = difference(spec, spec, LOCK, LOCK)
    assert (same.changes, same.acts, same.downtime) == ((), (), False)


def test_an_argument_of_the_server_leaves_ray_alone(spec):
    found = difference(spec, with_part(spec, "serve", args={"max-num-seqs": 16}), LOCK, LOCK)
    assert (found.acts, found.downtime) == (("serve",), True)
    assert found.data() == {
        "changes": [["serve.args.max-num-seqs", 8, 16]],
        "acts": ["serve"],
        "downtime": True,
    }


def test_what_is_measured_otherwise_touches_nothing(spec):
    for new in (with_part(spec, "benchmark", seconds=7), with_part(spec, "smoke", max_tokens=7)):
        found = difference(spec, new, LOCK, LOCK)
        assert len(found.changes) == 1
        assert (found.acts, found.downtime) == ((), False)


def test_variables_and_ports_of_ray_take_the_server_with_them(spec):
    assert acts(spec, with_part(spec, "serve", env={"VLLM_USE_X": "1"})) == ("ray_cluster", "serve")
    ports = spec.ray.ports.model_copy(update={"gcs": 7000})
    assert acts(spec, with_part(spec, "ray", ports=ports)) == ("ray_cluster", "serve")


def test_another_lock_file_makes_an_environment_and_starts_all_anew(spec):
    assert acts(spec, spec, LOCK + "numpy==2.0\n") == ("environment", "ray_cluster", "serve")


def test_another_model_is_staged_and_served(spec):
    assert acts(spec, with_part(spec, "weights", source="/shared/other")) == ("weights", "serve")


def test_from_ray_to_processes_of_its_own(spec, mp):
    assert acts(spec, mp) == ("ray_cluster", "serve")
    assert acts(mp, spec) == ("ray_cluster", "serve")
    assert acts(mp, with_part(mp, "serve", args={"max-num-seqs": 16})) == ("serve",)


def test_the_plans_act_as_the_difference_says(spec):
    """What is foretold is what happens: a cluster and server of the old revision, planned for the new one."""
    new = with_part(spec, "serve", args={"max-num-seqs": 16})
    python = python_env.python(spec, LOCK)
    roles = {
        host.name: RoleState(ray.role_name(spec, host), "running", True, ray.role(spec, host, python).digest())
        for host in spec.hosts
    }
    server = serve.wanted(spec, python, "/m")["a"]
    state = RoleState(server.name, "ready", True, server.digest())
    seen = ray_cluster.Seen(roles, dict.fromkeys(roles, "t"), state)
    assert list(ray_cluster.plan(new, python, seen, "fresh")) == []
    [stop], [start] = serve.plan(new, serve.wanted(new, python, "/m"), {"a": state})
    assert (stop.ends_service, start.ends_service) == (True, False)


def test_another_root_would_lose_sight_of_what_runs(spec):
    require_same_root(spec, with_part(spec, "serve", port=9001))
    with pytest.raises(SpecError, match=r"root: /srv/slipway -> /srv/other[\s\S]*pair.teardown first"):
        require_same_root(spec, spec.model_copy(update={"root": "/srv/other"}))


def test_from_what_runs_by_the_store(spec, tmp_path):
    url = f"sqlite:///{tmp_path}/slipway.db"
    schema.upgrade(url)
    with open_store(url) as store:
        assert from_running(store, spec, LOCK) == {"from": None}
        revision = store.save_revision(spec, LOCK)
        run = store.begin_run(RunStart("pair", "deploy", "pair.deploy", "r1", revision))
        store.set_current(run, revision, spec.endpoint)
        found = from_running(store, with_part(spec, "serve", port=9001), LOCK)
    assert found == {
        "from": revision,
        "changes": [["serve.port", 9000, 9001]],
        "acts": ["serve"],
        "downtime": True,
    }
