"""docker-compose.yaml as Compose reads it: YAML, with each variable as given, or at its default."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>[A-Z_]+):-(?P<default>[^}$]*)\}|(?P<wrong>.?))")


@dataclass(frozen=True)
class Compose:
    """The file with its variables filled in, and their defaults."""

    content: Mapping[str, Any]
    defaults: dict[str, str] = field(default_factory=dict)

    @property
    def services(self) -> dict[str, Any]:
        services: dict[str, Any] = self.content["services"]
        return services

    @property
    def airflow(self) -> dict[str, Any]:
        """The services that Airflow's image runs."""
        return {name: each for name, each in self.services.items() if each["image"].startswith("slipway:")}

    @property
    def hosts(self) -> dict[str, Any]:
        """The hosts to rehearse with."""
        return {name: each for name, each in self.services.items() if each["image"].startswith("slipway-host:")}

    @property
    def lasting(self) -> dict[str, Any]:
        """The services that do not end by themselves."""
        return {name: each for name, each in self.services.items() if each["restart"] != "no"}


def load_compose(variables: Mapping[str, str] | None = None) -> Compose:
    defaults: dict[str, str] = {}
    content = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())
    return Compose(_filled(content, variables or {}, defaults), defaults)


def _filled(value: Any, variables: Mapping[str, str], defaults: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(inner, variables, defaults) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, variables, defaults) for inner in value]
    if isinstance(value, str):
        return VARIABLE.sub(lambda found: _replaced(found, variables, defaults), value)
    return value


def _replaced(found: re.Match[str], variables: Mapping[str, str], defaults: dict[str, str]) -> str:
    assert found["wrong"] is None, f"{found.string}: $$ for a dollar, ${{NAME:-default}} for a variable"
    if found["dollar"]:
        return "$"
    assert defaults.setdefault(found["name"], found["default"]) == found["default"], f"two defaults of {found['name']}"
    return variables.get(found["name"], found["default"])
