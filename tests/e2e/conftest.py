"""The demo as a project of its own, with ports of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from testbed.project import Project, open_demo

CHANGES = {
    "seconds: 20": "seconds: 10",
}
"""What the end-to-end deployment has unlike the demo, its name and ports apart: a shorter load test."""


@pytest.fixture(scope="session")
def project(serving_python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with open_demo(tmp_path_factory.mktemp("project"), serving_python, "e2e", 27, CHANGES) as made:
        yield made
