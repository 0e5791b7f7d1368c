"""The plugin that Airflow loads. It is loaded in every process, so the web application waits until it is asked for."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from slipway.ui.page import PAGE

PREFIX = "/slipway"
APPS = {
    "Slipway": ("nav", "slipway"),
    "Slipway results": ("dag", "slipway-dag"),
    "Slipway run": ("dag_run", "slipway-run"),
}
"""By the name under which the page puts it on ``globalThis``: where Airflow mounts it, and its part of the address."""
ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' stroke='%23e07b39' "
    "stroke-width='2' stroke-linecap='round' stroke-linejoin='round'%3E%3Cpath d='M2 21 22 15M4 14l16-5-3 5-9 3z"
    "M11 11V4l5 5'/%3E%3C/svg%3E"
)
"""A ship on its slipway, in a colour that shows on light, on dark, and on what is chosen."""


class SlipwayPlugin(AirflowPlugin):
    """Mounts the API in Airflow's API server, and the page in its user interface."""

    name = "slipway"

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """Read by the API server alone."""
        from slipway.ui.api import app

        return [{"app": app, "url_prefix": PREFIX, "name": "Slipway"}]

    @cached_property
    def react_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """A new build has a new address, so that no browser shows an old one."""
        digest = hashlib.sha256(PAGE.read_bytes()).hexdigest()[:12]
        shared = {"bundle_url": f"{PREFIX.lstrip('/')}/page.js?v={digest}", "nav_top_level": True, "icon": ICON}
        return [
            {"name": name, "destination": place, "url_route": route, **shared} for name, (place, route) in APPS.items()
        ]
