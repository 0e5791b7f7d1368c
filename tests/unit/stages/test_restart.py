"""A start anew: every living part is stopped first, the head's before the others, then the same revision comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway.facts.role import RoleState
from slipway.hosts import LocalHost
from slipway.spec import load_deployment
from slipway.stages import restart, restore, serve
from slipway.stages.site import Outcome, Site

DEMO = load_deployment(Path(__file__).parents[3] / "include" / "deployments" / "demo.yaml")


@pytest.fixture
def acted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done, in order."""
    done: list[str] = []

    def act(site, plan) -> int:
        rounds = list(plan)
        done.extend(action.why for step in rounds for action in step)
        return len(rounds)

    def back(site: Site, model: str) -> Outcome:
        done.append(f"serve {model}")
        return Outcome(2, {"passed": 5, "asked": 5})

    monkeypatch.setattr(restart, "act", act)
    monkeypatch.setattr(restore, "converge", back)
    return done


@pytest.mark.parametrize(("alive", "first"), [(True, ["stop vLLM: it does not answer"]), (False, [])])
def test_what_lives_is_stopped_first(monkeypatch, acted, alive, first):
    monkeypatch.setattr(serve, "look", lambda site: {"here": RoleState("demo.vllm", "ready", alive)})
    outcome = restart.converge(Site(DEMO, {"here": LocalHost("here")}), "/models/d1")
    assert acted == [*first, "serve /models/d1"]
    assert outcome.actions == 2 + len(first)
