from __future__ import annotations

import pytest
from testbed.compose import Compose, load_compose


@pytest.fixture(scope="session")
def compose() -> Compose:
    """docker-compose.yaml with every variable at its default."""
    return load_compose()
