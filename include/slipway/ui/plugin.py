"""The plugin that Airflow loads. It is loaded in every process, so the web application waits until it is asked for."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from airflow.plugins_manager import AirflowPlugin

PREFIX = "/slipway"


class SlipwayPlugin(AirflowPlugin):
    """Mounts the API in Airflow's API server."""

    name = "slipway"

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """Read by the API server alone."""
        from slipway.ui.api import app

        return [{"app": app, "url_prefix": PREFIX, "name": "Slipway"}]
