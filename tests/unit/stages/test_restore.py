"""The order in which a revision is put back, and what proves it; the stages themselves have tests of their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import pytest

from slipway.errors import ServerDied, SlipwayError, SmokeFailed
from slipway.facts.role import RoleState
from slipway.hosts import LocalHost
from slipway.stages import environment, ray_cluster, ready, restore, serve, smoke, teardown
from slipway.stages.site import Outcome, Site
from slipway.stages.smoke import SmokeResult


@pytest.fixture
def site(spec) -> Site:
    return Site(spec, {host.name: LocalHost(host.name) for host in spec.hosts})


@dataclass
class Stages:
    """What each stage answers, and which were called."""

    answers: dict[str, Outcome | SlipwayError]
    called: list[str] = field(default_factory=list)

    def converge(self, name: str, site: Site, *model: str) -> Outcome:
        assert model == (("/models/d1",) if name == "serve" else ())
        self.called.append(name)
        answer = self.answers[name]
        if isinstance(answer, SlipwayError):
            raise answer
        return answer


@pytest.fixture
def stages(monkeypatch) -> Stages:
    good = Outcome(0, {"checks": [SmokeResult("chat", True, "ok", 0.1, {})]})
    acting = {"environment": Outcome(0), "ray_cluster": Outcome(1), "serve": Outcome(2), "ready": Outcome(0)}
    made = Stages({**acting, "smoke": good})
    for module in (environment, ray_cluster, serve, ready, smoke):
        name = module.__name__.rpartition(".")[2]
        monkeypatch.setattr(module, "converge", partial(made.converge, name))
    return made


def test_it_serves_again_with_the_weights_that_it_had_and_smoke_proves_it(site, stages):
    outcome = restore.converge(site, "/models/d1")
    assert stages.called == ["environment", "ray_cluster", "serve", "ready", "smoke"]
    assert (outcome.actions, outcome.detail) == (3, {"passed": 1, "asked": 1})


def test_wrong_answers_are_no_restore(site, stages):
    wrong = SmokeResult("question", False, "answered 'London'", 0.1, {})
    stages.answers["smoke"] = Outcome(0, {"checks": [wrong]})
    with pytest.raises(SmokeFailed, match="London"):
        restore.converge(site, "/models/d1")


def test_a_server_that_dies_is_asked_nothing(site, stages):
    stages.answers["ready"] = ServerDied("vLLM ended")
    with pytest.raises(ServerDied):
        restore.converge(site, "/models/d1")
    assert "smoke" not in stages.called


def test_only_hosts_that_the_last_good_one_lacks_are_vacated(site, monkeypatch):
    seen = []

    def stop(site: Site) -> Outcome:
        seen.append((list(site.hosts), dict(site.out_of_reach)))
        return Outcome(4)

    running: dict = {"b": {"pair.vllm": RoleState("pair.vllm", alive=True)}}
    monkeypatch.setattr(teardown, "converge", stop)
    monkeypatch.setattr(teardown, "look", lambda left: {name: running.get(name, {}) for name in left.hosts})
    assert restore.vacate(site, {"10.0.0.1", "10.0.0.2"}) == 0
    assert seen == []
    assert restore.vacate(site, {"10.0.0.1"}) == 4
    assert seen == [(["b"], {})]
    running.clear()
    assert restore.vacate(site, {"10.0.0.1"}) == 0
