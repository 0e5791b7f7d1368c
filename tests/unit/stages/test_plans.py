"""Plans are pure: from what is seen and what is wanted come commands, and from what is already so come none."""

from __future__ import annotations

import dataclasses
import json

import pytest

from slipway.commands import agent, python_env, ray, vllm
from slipway.commands import weights as weights_commands
from slipway.errors import SpecError
from slipway.facts.role import RoleState
from slipway.facts.weights import Weights
from slipway.stages import api_key, environment, model_store, ray_cluster, serve, teardown, weights
from slipway.stages.api_key import NO_KEY
from slipway.stages.site import Site

LOCK = "vllm==0.33.0\nray==2.60.0\n"
PYTHON = "/srv/env/bin/python"
TOKEN = "t" * 64
THERE = environment.Seen(present=True)


class Untouchable:
    """A host on which nothing may be done."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, command):
        pytest.fail(f"{self.name}: {command.line()}")


def told(plan) -> list[tuple[str, str]]:
    return [(action.host, action.why) for step in plan for action in step]


def asked(action) -> dict:
    return json.loads(action.command.stdin)


class TestEnvironment:
    def test_made_on_the_hosts_that_lack_it(self, spec):
        rounds = list(environment.plan(spec, LOCK, {"a": THERE, "b": environment.Seen()}))
        assert {action.host for step in rounds for action in step} == {"b"}
        build = asked(rounds[-1][0])
        pip = build["steps"][1]["argv"]
        assert pip[1:4] == ["-m", "pip", "install"]
        assert "--no-deps" in pip
        assert not any("wheels.example" in word for word in pip)
        assert build["steps"][-1]["argv"][:2] == ["ln", "-sfnT"]

    def test_nothing_where_it_stands(self, spec):
        assert told(environment.plan(spec, LOCK, {"a": THERE, "b": THERE})) == []

    def test_made_anew_where_somebody_removed_it(self, spec):
        seen = {"a": environment.Seen(lost=True), "b": THERE}
        assert told(environment.plan(spec, LOCK, seen))[0] == ("a", "the environment was removed")

    def test_an_existing_one_is_never_made(self, spec):
        existing = spec.environment.model_copy(update={"lock": None, "existing": "/opt/python"})
        assert told(environment.plan(spec.model_copy(update={"environment": existing}), "", {})) == []

    def test_fallback_indexes_and_hashes(self, spec):
        hashed = "vllm==0.33.0 --hash=sha256:00\n"
        rounds = list(environment.plan(spec, hashed, {}, spec.environment.fallback_indexes))
        pip = asked(rounds[-1][0])["steps"][1]["argv"]
        assert "--extra-index-url=https://wheels.example/simple" in pip
        assert "--require-hashes" in pip

    def test_a_wheelhouse_replaces_every_index(self, spec):
        house = spec.environment.model_copy(update={"wheelhouse": "/srv/wheels"})
        rounds = list(environment.plan(spec.model_copy(update={"environment": house}), LOCK, {}, ("https://x",)))
        pip = asked(rounds[-1][0])["steps"][1]["argv"]
        assert "--no-index" in pip
        assert "--find-links=/srv/wheels" in pip
        assert not any(word.startswith("--extra-index-url") for word in pip)

    def test_the_digest_names_what_goes_into_it(self, spec):
        rehearsal = spec.model_copy(update={"rehearsal": True})
        digests = {
            python_env.digest(spec, LOCK),
            python_env.digest(spec, LOCK + "x"),
            python_env.digest(rehearsal, LOCK),
        }
        assert len(digests) == 3


class TestWeights:
    WHOLE = Weights(True, 10, True, "/srv/slipway/models/tiny/d1", "d1", ())

    def test_copied_where_not_current(self, spec):
        stale = dataclasses.replace(self.WHOLE, current=False)
        assert told(weights.plan(spec, {"a": self.WHOLE, "b": stale}, PYTHON)) == [("b", "stage tiny")]
        assert told(weights.plan(spec, {"a": self.WHOLE, "b": self.WHOLE}, PYTHON)) == []

    def test_served_from_the_source(self, spec):
        in_place = spec.model_copy(update={"weights": spec.weights.model_copy(update={"stage": False})})
        assert told(weights.plan(in_place, {}, PYTHON)) == []

    def test_what_the_file_allows_and_limits_reaches_the_job(self, spec):
        said = {"allow_pickle": ("a.bin",), "limit_bytes_per_s": 2 << 20, "digest": "xxh3"}
        changed = spec.model_copy(update={"weights": spec.weights.model_copy(update=said)})
        [[start, _]] = weights.plan(changed, {}, PYTHON)
        request = json.loads(asked(start)["steps"][0]["stdin"])
        assert request == {
            "source": "/shared/tiny",
            "store": "/srv/slipway/models/tiny",
            "allow_pickle": ["a.bin"],
            "limit_bytes_per_s": 2 << 20,
            "digest": "xxh3",
        }

    def test_hosts_share_the_source_where_the_file_says_so_and_several_lack_it(self, spec):
        changed = spec.model_copy(update={"weights": spec.weights.model_copy(update={"stripe": True})})
        [starts] = weights.plan(changed, {}, PYTHON)
        stripes = [json.loads(asked(start)["steps"][0]["stdin"])["stripe"] for start in starts]
        both = {
            "addresses": [host.address for host in spec.hosts],
            "port": spec.ray.ports.block + 8,
            "token_file": "/srv/slipway/deployments/pair/stripe.token",
        }
        assert stripes == [{"own": 0, **both}, {"own": 1, **both}]
        [[alone]] = weights.plan(changed, {spec.hosts[0].name: self.WHOLE}, PYTHON)
        assert "stripe" not in json.loads(asked(alone)["steps"][0]["stdin"])

    def test_room_is_made_only_where_it_is_short(self, spec):
        lacking = dataclasses.replace(self.WHOLE, current=False, bytes=100)
        seen = {"a": dataclasses.replace(lacking, free_bytes=104), "b": dataclasses.replace(lacking, free_bytes=105)}
        [[action]] = weights.room(spec, seen, "/srv/slipway/models/tiny/d0")
        assert action.host == "a"
        assert asked(action) == {
            "models": "/srv/slipway/models",
            "agents": "/srv/slipway/agents",
            "model": "tiny",
            "keep": {"pair": "/srv/slipway/models/tiny/d0"},
            "free_bytes": 105,
        }
        assert list(weights.room(spec, {"a": self.WHOLE}, "")) == []

    def test_a_repository_is_downloaded_by_the_serving_environment_then_adopted(self, spec):
        origin = f"hf:org/tiny@{'a' * 40}"
        said = {"source": origin, "token_file": "/etc/hub.token", "hub_endpoint": "http://mirror:9"}
        changed = spec.model_copy(update={"weights": spec.weights.model_copy(update=said)})
        [[start, _]] = weights.plan(changed, {}, PYTHON)
        fetch, adopt = asked(start)["steps"]
        assert fetch["argv"][:2] == [PYTHON, "-c"]
        request = json.loads(fetch["stdin"])
        assert (request["repo"], request["revision"]) == ("org/tiny", "a" * 40)
        assert (request["token_file"], request["endpoint"]) == ("/etc/hub.token", "http://mirror:9")
        assert adopt["argv"][2:] == ["models", "adopt"]
        assert json.loads(adopt["stdin"])["origin"] == origin


class TestRayCluster:
    def seen(self, spec, **changes) -> ray_cluster.Seen:
        """A cluster that is as wanted, but for ``changes``."""
        roles = {
            host.name: RoleState(ray.role_name(spec, host), "running", True, ray.role(spec, host, PYTHON).digest())
            for host in spec.hosts
        }
        server = RoleState("pair.vllm", "ready", True, "d")
        whole = ray_cluster.Seen(roles, {"a": TOKEN, "b": TOKEN}, server)
        return dataclasses.replace(whole, **changes)

    def plan(self, spec, seen):
        return told(ray_cluster.plan(spec, PYTHON, seen, "fresh"))

    def test_nothing_where_it_runs_as_wanted(self, spec):
        assert self.plan(spec, self.seen(spec)) == []

    def test_bare_hosts(self, spec):
        assert self.plan(spec, ray_cluster.Seen()) == [
            ("a", "write Ray's token (0600)"),
            ("b", "write Ray's token (0600)"),
            ("a", "start Ray's head"),
            ("b", "join the cluster"),
        ]

    def test_a_lost_worker_starts_the_whole_cluster_anew_server_first(self, spec):
        seen = self.seen(spec)
        roles = {**seen.roles, "b": RoleState("pair.ray-worker", "failed", False)}
        assert self.plan(spec, self.seen(spec, roles=roles)) == [
            ("a", "stop vLLM: its Ray cluster ends"),
            ("a", "stop Ray: it is not as wanted"),
            ("a", "start Ray's head"),
            ("b", "join the cluster"),
        ]

    def test_the_service_ends_with_the_server_that_runs_on_it(self, spec):
        seen = self.seen(spec, tokens={"a": TOKEN, "b": ""})
        rounds = list(ray_cluster.plan(spec, PYTHON, seen, "fresh"))
        assert [action.why for step in rounds for action in step if action.ends_service] == [
            "stop vLLM: its Ray cluster ends"
        ]

    def test_the_new_servers_arguments_are_asked_about_before_the_old_one_is_stopped(self, spec, monkeypatch):
        seen = self.seen(spec, tokens={"a": TOKEN, "b": ""})
        monkeypatch.setattr(ray_cluster, "look", lambda _: seen)
        monkeypatch.setattr(serve, "refused_argument", lambda host, interpreter, words: "no --max-modl-len")
        site = Site(spec, {host.name: Untouchable(host.name) for host in spec.hosts}, LOCK, pytest.fail)
        with pytest.raises(SpecError, match="no --max-modl-len"):
            ray_cluster.converge(site)

    def test_other_arguments_start_it_anew(self, spec):
        other = spec.model_copy(update={"env": {"NCCL_DEBUG": "INFO"}})
        assert ("b", "stop Ray: it is not as wanted") in self.plan(other, self.seen(spec))

    def test_one_token_for_all(self, spec):
        rounds = list(ray_cluster.plan(spec, PYTHON, self.seen(spec, tokens={"a": TOKEN, "b": ""}), "fresh"))
        written = [action for step in rounds for action in step if "token" in action.why]
        assert [action.host for action in written] == ["b"]
        assert asked(written[0]) == {"path": "/srv/slipway/deployments/pair/ray.token", "text": TOKEN, "mode": 0o600}
        assert TOKEN not in written[0].command.text()

    def test_the_token_stands_in_no_command_line(self, spec):
        for step in ray_cluster.plan(spec, PYTHON, ray_cluster.Seen(), TOKEN):
            for action in step:
                assert TOKEN not in action.command.line()
                assert TOKEN not in action.command.text()

    def test_workers_join_in_the_order_of_the_file(self, spec):
        third = spec.workers[0].model_copy(update={"name": "c", "address": "10.0.0.3"})
        three = spec.model_copy(update={"hosts": (*spec.hosts, third)})
        rounds = [[action.host for action in step] for step in ray_cluster.plan(three, PYTHON, ray_cluster.Seen(), "t")]
        assert rounds == [["a", "b", "c"], ["a"], ["b"], ["c"]]

    def test_no_ray_for_mp(self, mp):
        assert self.plan(mp, ray_cluster.Seen()) == []
        assert ray.ports(mp, mp.head) == ray.ports(mp, mp.workers[0]) == ()

    def test_mp_stops_the_cluster_of_an_earlier_revision(self, spec, mp):
        assert self.plan(mp, self.seen(spec)) == [
            ("a", "stop vLLM: its Ray cluster ends"),
            ("a", "stop Ray: it is not used any more"),
            ("b", "stop Ray: it is not used any more"),
        ]

    def test_mp_leaves_its_own_server_alone(self, spec, mp):
        assert self.plan(mp, dataclasses.replace(self.seen(spec), roles={})) == []

    def test_each_host_has_its_own_address(self, spec):
        for host in spec.hosts:
            step = ray.role(spec, host, PYTHON).steps[0]
            assert step.env["VLLM_HOST_IP"] == host.address
            assert f"--node-ip-address={host.address}" in step.argv
        assert "--address=10.0.0.1:6379" in ray.role(spec, spec.workers[0], PYTHON).steps[0].argv


class TestServe:
    def parts(self, spec):
        return serve.wanted(spec, PYTHON, "/m/tiny")

    def seen(self, parts, **digests):
        """What runs where: what is wanted, but for ``digests`` by host; None is dead."""
        states = {host: RoleState(part.name, "ready", True, part.digest()) for host, part in parts.items()}
        for host, digest in digests.items():
            states[host] = dataclasses.replace(states[host], alive=digest is not None, digest=digest or "")
        return states

    def test_started_where_it_does_not_run(self, spec):
        assert told(serve.plan(spec, self.parts(spec), {"a": RoleState("pair.vllm")})) == [("a", "start vLLM")]

    def test_left_alone_where_it_runs_as_wanted(self, spec):
        parts = self.parts(spec)
        assert told(serve.plan(spec, parts, self.seen(parts))) == []

    def test_replaced_where_it_differs(self, spec):
        parts = self.parts(spec)
        assert told(serve.plan(spec, parts, self.seen(parts, a="other"))) == [
            ("a", "stop vLLM: it is not as wanted"),
            ("a", "start vLLM"),
        ]

    @pytest.mark.parametrize(("digest", "asked_about"), [("other", 1), (None, 0)])
    def test_the_parser_is_asked_only_where_a_server_would_be_stopped(self, spec, monkeypatch, digest, asked_about):
        words, seen = [], self.seen(self.parts(spec), a=digest)
        monkeypatch.setattr(serve, "model_path", lambda site: "/m/tiny")
        monkeypatch.setattr(serve, "look", lambda site: seen)
        monkeypatch.setattr(api_key, "look", lambda site: NO_KEY)
        monkeypatch.setattr(serve, "refused_argument", lambda host, interpreter, given: words.append(given))
        monkeypatch.setattr(model_store, "warm", lambda site, folder: None)
        monkeypatch.setattr(serve, "act", lambda site, rounds: len(rounds))
        serve.converge(Site(spec, {host.name: Untouchable(host.name) for host in spec.hosts}, LOCK))
        assert len(words) == asked_about

    def test_another_load_test_is_no_reason_to_restart(self, spec):
        longer = spec.model_copy(update={"benchmark": spec.benchmark.model_copy(update={"seconds": 7})})
        assert self.parts(longer)["a"].digest() == self.parts(spec)["a"].digest()

    def test_one_role_over_ray_and_from_safetensors(self, spec):
        parts = self.parts(spec)
        assert list(parts) == ["a"]
        argv = parts["a"].steps[0].argv
        assert "--distributed-executor-backend=ray" in argv
        assert "--load-format=safetensors" in argv
        assert not [word for word in argv if word.startswith(("--nnodes", "--node-rank", "--master", "--headless"))]
        assert (parts["a"].restart, parts["a"].ports) == (True, (9000,))

    def test_it_ends_its_requests_before_it_ends_and_the_stop_waits_for_that(self, spec):
        part = self.parts(spec)["a"]
        assert "--shutdown-timeout=5" in part.steps[0].argv
        assert part.request("/r")["stop"] == {"term_s": 15, "group_s": 20}
        at_once = spec.model_copy(update={"serve": spec.serve.model_copy(update={"drain_s": 0})})
        part = self.parts(at_once)["a"]
        assert not [word for word in part.steps[0].argv if word.startswith("--shutdown-timeout")]
        assert part.request("/r")["stop"] == agent.STOP_S

    def test_what_was_compiled_lies_below_root_unless_the_file_says_otherwise(self, spec, mp):
        for each in (spec, mp):
            for part in self.parts(each).values():
                assert part.steps[0].env["VLLM_CACHE_ROOT"] == "/srv/slipway/caches"
        assert ray.role(spec, spec.workers[0], PYTHON).steps[0].env["VLLM_CACHE_ROOT"] == "/srv/slipway/caches"
        own = spec.model_copy(update={"env": {"VLLM_CACHE_ROOT": "/nvme"}})
        assert self.parts(own)["a"].steps[0].env["VLLM_CACHE_ROOT"] == "/nvme"

    def test_only_the_stop_of_the_head_ends_the_service(self, mp):
        parts = self.parts(mp)
        rounds = list(serve.plan(mp, parts, self.seen(parts, a="other", b="other")))
        assert [(action.host, action.ends_service) for step in rounds for action in step] == [
            ("a", True),
            ("b", False),
            ("a", False),
            ("b", False),
        ]

    def test_mp_has_a_part_on_every_host(self, mp):
        parts = self.parts(mp)
        head, worker = parts["a"], parts["b"]
        assert (head.name, worker.name) == ("pair.vllm", "pair.vllm-worker")
        place = ["--nnodes=2", "--node-rank=0", "--master-addr=10.0.0.1", "--master-port=20009"]
        assert [word for word in head.steps[0].argv if word in place] == place
        assert "--headless" not in head.steps[0].argv
        place[1:2] = ["--node-rank=1"]
        assert [word for word in worker.steps[0].argv if word in [*place, "--headless"]] == [*place, "--headless"]
        assert worker.steps[0].argv[:2] == (PYTHON, "-c")
        same = [word for word in head.steps[0].argv[3:] if not word.startswith("--node-rank")]
        assert [w for w in worker.steps[0].argv[3:] if not w.startswith(("--node-rank", "--headless"))] == same
        assert "--distributed-executor-backend=mp" in same

    def test_parts_of_mp_have_their_own_address_and_nothing_of_ray(self, mp):
        for host in mp.hosts:
            part = self.parts(mp)[host.name]
            env = part.steps[0].env
            assert env["VLLM_HOST_IP"] == host.address
            assert not [name for name in env if name.startswith("RAY_")]
            assert not part.restart, "one part alone would not find the others"
        assert self.parts(mp)["a"].ports == (9000, 20009)
        assert self.parts(mp)["b"].ready_url is None

    def test_mp_on_one_host_is_one_server(self, mp):
        alone = mp.model_copy(update={"hosts": mp.hosts[:1]})
        [server] = self.parts(alone).values()
        assert "--distributed-executor-backend=mp" in server.steps[0].argv
        assert not [word for word in server.steps[0].argv if "--nnodes" in word or "--master" in word]
        assert (server.restart, server.ports) == (True, (9000,))

    @pytest.mark.parametrize("lost", [{"a": "other"}, {"b": "other"}])
    def test_one_changed_part_of_mp_restarts_all_head_first(self, mp, lost):
        parts = self.parts(mp)
        plan = serve.plan(mp, parts, self.seen(parts, **lost))
        rounds = [[(action.host, action.why) for action in step] for step in plan]
        stop, start = "stop vLLM: it is not as wanted", "start vLLM"
        assert rounds == [[("a", stop)], [("b", stop)], [("a", start), ("b", start)]]

    def test_one_dead_part_of_mp_restarts_all(self, mp):
        parts = self.parts(mp)
        assert told(serve.plan(mp, parts, self.seen(parts))) == []
        assert [host for host, why in told(serve.plan(mp, parts, self.seen(parts, b=None))) if "stop" in why] == ["a"]
        assert [host for host, why in told(serve.plan(mp, parts, self.seen(parts, a=None))) if "stop" in why] == ["b"]

    def test_back_to_ray_stops_the_parts_of_mp(self, spec, mp):
        stopped = [action for step in serve.plan(spec, self.parts(spec), self.seen(self.parts(mp))) for action in step]
        assert [(action.host, asked(action)["role"]) for action in stopped] == [
            ("a", "pair.vllm"),
            ("b", "pair.vllm-worker"),
            ("a", "pair.vllm"),
        ]

    @pytest.mark.parametrize(
        ("value", "words"),
        [
            (True, ["--x"]),
            (False, ["--no-x"]),
            (3, ["--x=3"]),
            (0.9, ["--x=0.9"]),
            ("a b", ["--x=a b"]),
            (["a", "b"], ["--x", "a", "b"]),
            ({"k": 1}, ['--x={"k": 1}']),
        ],
    )
    def test_arguments_as_words(self, value, words):
        assert vllm.words("x", value) == words


class TestTeardown:
    def test_server_then_workers_then_head_then_what_they_left(self, spec):
        seen = {
            "a": {name: RoleState(name, "ready", True) for name in ("pair.vllm", "pair.ray-head")},
            "b": {"pair.ray-worker": RoleState("pair.ray-worker", "running", True)},
        }
        assert told(teardown.plan(spec, seen)) == [
            ("a", "stop pair.vllm"),
            ("a", "forget pair.vllm"),
            ("b", "stop pair.ray-worker"),
            ("b", "forget pair.ray-worker"),
            ("a", "stop pair.ray-head"),
            ("a", "forget pair.ray-head"),
            ("a", "remove Ray's own session folder"),
            ("b", "remove Ray's own session folder"),
        ]

    def test_every_part_of_mp_head_first(self, mp):
        seen = {
            "a": {"pair.vllm": RoleState("pair.vllm", "ready", True)},
            "b": {"pair.vllm-worker": RoleState("pair.vllm-worker", "running", True)},
        }
        assert told(teardown.plan(mp, seen)) == [
            ("a", "stop pair.vllm"),
            ("a", "forget pair.vllm"),
            ("b", "stop pair.vllm-worker"),
            ("b", "forget pair.vllm-worker"),
        ]

    def test_nothing_where_nothing_is(self, spec):
        assert told(teardown.plan(spec, {"a": {}, "b": {}})) == []

    def test_orphans_of_a_dead_agent_are_stopped(self, spec):
        seen = {"a": {"pair.vllm": RoleState("pair.vllm", "failed", False, orphans=(7,))}, "b": {}}
        assert ("a", "stop pair.vllm") in told(teardown.plan(spec, seen))


def test_no_plan_uses_ray_stop_or_kills_by_name(spec):
    from slipway.stages.planned import planned

    texts = [action.command.text() for _, action in planned(spec, LOCK)]
    assert texts
    for text in texts:
        for word in ("ray stop", 'scripts","stop"', "pkill", "killall"):
            assert word not in text


def test_jobs_have_names_of_their_own(spec):
    names = [python_env.build(spec, LOCK, ()).name, weights_commands.copy(spec).name, vllm.role_name(spec)]
    names += [role_name(spec, host) for host in spec.hosts for role_name in (ray.role_name, vllm.role_name)]
    assert len(set(names)) == 6
    assert all(isinstance(agent.Role(name, ()).digest(), str) for name in names)
