"""From a task to the pages of its run and of its deployment."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from slipway.operators.links import LINKS
from slipway.provider import get_provider_info

KEY = SimpleNamespace(dag_id="deepseek-r1.deploy", run_id="manual__2026-11-24T20:00:00+00:00")
RUN = "/dags/deepseek-r1.deploy/runs/manual__2026-11-24T20%3A00%3A00%2B00%3A00/plugin/slipway-run"


@pytest.mark.parametrize("base", ["", "https://airflow.example/team/"])
def test_both_lead_to_pages_below_airflows_address(monkeypatch: pytest.MonkeyPatch, base: str) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base)
    found = [link.get_link(None, ti_key=KEY) for link in LINKS]  # type: ignore[arg-type]
    prefix = base.rstrip("/")
    assert found == [f"{prefix}{RUN}", f"{prefix}/plugin/slipway/deployments/deepseek-r1"]


def test_the_provider_names_them_all() -> None:
    named = [f"{type(link).__module__}.{type(link).__name__}" for link in LINKS]
    assert get_provider_info()["extra-links"] == named
