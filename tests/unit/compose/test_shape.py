"""The production shape of `make test-production` maps every path and address of docker-compose.yaml to this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from production.shape import LASTING, Shape

PORTS = {"postgres": 1, "redis": 2, "api-server": 3}
THERE = ("/opt/slipway", "/run/secrets", "/var/lib/airflow", "/data", "@postgres", "@redis", "//api-server", ":8080")


@pytest.mark.parametrize("name", ["airflow-init", "rehearsal-init", *LASTING[1:]])
def test_nothing_of_the_containers_is_left(compose: Any, tmp_path: Path, name: str) -> None:
    shape = Shape(tmp_path / "here", compose, PORTS)
    part = shape.part(name)
    given = {key: value for key, value in part.environment.items() if key not in ("PATH", "HOME", "AIRFLOW_HOME")}
    text = json.dumps([part.command, given]).replace(str(tmp_path / "here"), "HERE")
    assert [each for each in THERE if each in text.replace("AIRFLOW__API__HOST", "")] == []


def test_every_service_that_lasts_has_its_part(compose: Any) -> None:
    """But for those of the profiles ``load``, ``rehearsal`` and ``router``."""
    others = {name for name, each in compose.services.items() if each.get("profiles", ["celery"])[0] != "celery"}
    assert set(LASTING) == set(compose.lasting) - others
