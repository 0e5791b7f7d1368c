"""Preflight's rows for hosts that could not be looked at."""

from __future__ import annotations

from pathlib import Path

import pytest
from testbed.lost import lost_host

from slipway.errors import HostUnfit, HostUnreachable
from slipway.hosts import LocalHost
from slipway.results.preflight import State, checks_of
from slipway.spec import DeploymentSpec
from slipway.stages.preflight import stage as preflight
from slipway.stages.site import Site, prepare


def test_a_host_that_does_not_answer_is_a_row_beside_those_of_the_others(spec: DeploymentSpec, tmp_path: Path) -> None:
    spec = spec.model_copy(update={"root": str(tmp_path)})
    prepare(LocalHost("a"), spec.root)
    said: list[str] = []
    away = lost_host("b", HostUnreachable("b", "b is not there", hint="look at its sshd"))
    outcome = preflight.converge(Site(spec, {"a": LocalHost("a"), "b": away}, say=said.append))
    [row] = [check for check in checks_of(outcome.detail) if check.host == "b"]
    assert (row.name, row.state, row.found) == (preflight.CONNECTION, State.FAIL, "b is not there")
    assert row.next_step == "look at its sshd"
    assert list(outcome.detail["hosts"]) == ["a"]
    assert any("b is not there" in line for line in said)


@pytest.mark.parametrize("kind", [HostUnreachable, HostUnfit])
def test_a_retry_helps_where_only_connections_were_missing(spec: DeploymentSpec, kind: type[HostUnreachable]) -> None:
    hosts = {name: lost_host(name, kind(name, f"{name} is not there")) for name in ("a", "b")}
    outcome = preflight.converge(Site(spec, hosts))
    with pytest.raises(HostUnfit, match=r"(?s)\[a, b\].*\[a\] connection: a is not there\n  \[b\]") as caught:
        preflight.require_fit(outcome.detail)
    assert caught.value.transient is kind.transient
