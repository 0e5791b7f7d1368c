"""The demo as a project of its own, with ports of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from testbed.project import ROOT, SHARED, Project, changed, open_project, sharing_environment

CHANGES = {
    "name: demo": "name: e2e",
    "source: .slipway/shared/SmolLM2-135M-Instruct": f"source: {SHARED}/SmolLM2-135M-Instruct",
    "gcs: 26379": "gcs: 27379",
    "dashboard: 28265": "dashboard: 27265",
    "block: 26400": "block: 27400",
    "workers: 26500": "workers: 27500",
    "port: 28000": "port: 27000",
    "seconds: 20": "seconds: 10",
}
"""What the end-to-end deployment has unlike the demo: its name, its ports, a shorter load test."""


@pytest.fixture(scope="session")
def project(serving_python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    text = changed((ROOT / "include" / "deployments" / "demo.yaml").read_text(), CHANGES)
    folder = sharing_environment(tmp_path_factory.mktemp("project"), serving_python)
    with open_project(folder, "e2e", 27080, text) as made:
        yield made
