"""Measurements as plain data: for JSON, and flat for tables."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from slipway.results.measurement import Measurement

LARGE = ("histograms", "series")
"""What a table has no place for."""


def data(measured: Measurement) -> dict[str, Any]:
    """Every field, with ``load`` in words, as JSON keeps it."""
    plain: dict[str, Any] = json.loads(json.dumps({"load": measured.load, **asdict(measured)}))
    return plain


def flat(measured: Measurement) -> dict[str, Any]:
    """One value a key: ``ttft.p50``, ``client.cpu_share``; lists are joined. Without histograms and series."""
    kept = {name: value for name, value in data(measured).items() if name not in LARGE}
    return dict(_leaves(kept, ""))


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        yield name, "; ".join(map(str, value))
    else:
        yield name, value
