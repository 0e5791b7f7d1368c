"""What a stage does is written down as it is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway.commands import agent
from slipway.errors import NotConverged, SlipwayError
from slipway.hosts import LocalHost
from slipway.shell import Command, Result
from slipway.spec import load_deployment
from slipway.stages.site import Action, Site, act

ROOT = Path(__file__).parents[3]


@pytest.fixture
def site() -> Site:
    spec = load_deployment(ROOT / "include" / "deployments" / "demo.yaml")
    return Site(spec, {"here": LocalHost("here")}, say=lambda _: None)


def test_every_command_that_acted_is_kept_with_its_host_and_reason(site: Site) -> None:
    start = Action("here", Command(("true", "agent")), "start it", starts=[Command(("serve", "a b"), env={"A": "1"})])
    assert act(site, [[Action("here", Command(("true",)), "look busy")], [start]]) == 2
    assert site.commanded["commands"] == [
        {"host": "here", "why": "look busy", "line": "true"},
        {"host": "here", "why": "start it", "line": "env A=1 serve 'a b'"},
    ]


def test_the_command_that_failed_is_kept_too(site: Site) -> None:
    with pytest.raises(SlipwayError):
        act(site, [[Action("here", Command(("false",)), "try")]])
    assert [each["line"] for each in site.commanded["commands"]] == ["false"]


def test_a_stage_that_did_nothing_keeps_nothing(site: Site) -> None:
    assert act(site, []) == 0
    assert site.commanded == {}


def test_what_outlives_its_stop_is_tried_again(site: Site) -> None:
    """A process that was killed ends when it can; what comes after the stop would be refused for good."""

    class Stopping(LocalHost):
        def run(self, command: Command) -> Result:
            said = '{"stopped": false, "acted": true, "left": [1685], "seconds": 61.0}'
            return Result(self.name, command, 0, said, "", 61.0)

    stopping = Site(site.spec, {"here": Stopping("here")}, say=lambda _: None)
    with pytest.raises(NotConverged, match="alive after the stop: 1685") as error:
        act(stopping, [[Action("here", agent.stop(site.root, "demo.vllm"), "stop it")]])
    assert error.value.transient
