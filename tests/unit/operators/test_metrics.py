"""Our figures reach a real StatsD listener by Airflow's own client, tags and all."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from airflow.sdk.observability import stats
from airflow.sdk.observability.metrics.stats_utils import get_stats_factory
from unit.operators.test_benchmark import MEASURED

from slipway.errors import LoadTestFailed
from slipway.operators.metrics import send_cell, timed

TAGS = "deployment=demo,stage=serve"


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], dict[str, str]]]:
    """Airflow sends to a socket of ours; answers what it said so far, by name with tags."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(20)
        port = str(listener.getsockname()[1])
        given = {
            "STATSD_ON": "True",
            "STATSD_HOST": "127.0.0.1",
            "STATSD_PORT": port,
            "STATSD_INFLUXDB_ENABLED": "True",
        }
        for name, value in given.items():
            monkeypatch.setenv(f"AIRFLOW__METRICS__{name}", value)
        stats.initialize(factory=get_stats_factory(), export_legacy_names=False)

        def said(count: int) -> dict[str, str]:
            """So many figures of ours; what else Airflow sends is none of them."""
            found: dict[str, str] = {}
            while len(found) < count:
                name, _, value = listener.recv(4096).decode().partition(":")
                if ".slipway." in name:
                    found[name] = value
            return found

        yield said
    monkeypatch.undo()
    stats.initialize(factory=get_stats_factory(), export_legacy_names=False)


def test_a_stage_says_how_long_it_took(heard: Callable[[int], dict[str, str]]) -> None:
    with timed("demo", "serve"):
        pass
    said = heard(1)
    assert list(said) == [f"airflow.slipway.stage.duration,{TAGS}"]
    assert said[f"airflow.slipway.stage.duration,{TAGS}"].endswith("|ms")


def test_a_stage_that_fails_is_counted_and_the_error_goes_on(heard: Callable[[int], dict[str, str]]) -> None:
    with pytest.raises(LoadTestFailed), timed("demo", "serve"):
        raise LoadTestFailed("no", hint="none")
    said = heard(2)
    assert said[f"airflow.slipway.stage.failed,{TAGS}"] == "1|c"
    assert f"airflow.slipway.stage.duration,{TAGS}" in said


def test_a_load_level_says_what_it_gave(heard: Callable[[int], dict[str, str]]) -> None:
    send_cell("demo", replace(MEASURED, e2e=None))
    tags = "deployment=demo,load=1_users"
    assert heard(4) == {
        f"airflow.slipway.cell.output_tokens_per_s,{tags}": "1000.0|g",
        f"airflow.slipway.cell.requests_per_s,{tags}": "10.0|g",
        f"airflow.slipway.cell.ttft_p99_s,{tags}": "0.02|g",
        f"airflow.slipway.cell.tpot_p99_s,{tags}": "0.02|g",
    }
