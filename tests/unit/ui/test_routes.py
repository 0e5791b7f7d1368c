"""The page only reads: a request forged in a person's browser has nothing to call."""

from __future__ import annotations

from slipway.ui.api import app


def test_every_route_of_the_page_only_reads() -> None:
    methods = {method for route in app.routes for method in getattr(route, "methods", None) or ()}
    assert methods
    assert methods <= {"GET", "HEAD"}
