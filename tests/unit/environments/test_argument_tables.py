"""The tables of vLLM's arguments, as its own parsers gave them, and the hints for those that are gone."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ENVIRONMENTS = Path(__file__).parents[3] / "include" / "environments"
VERSIONS = ("0.32.0", "0.33.0")
KEYS = {"type", "choices", "default", "many", "switch", "no", "deprecated"}
GONE = json.loads((ENVIRONMENTS / "vllm-arguments-gone.json").read_text())


def load_table(version: str) -> dict[str, dict[str, object]]:
    table: dict[str, dict[str, object]] = json.loads((ENVIRONMENTS / f"vllm-{version}.arguments.json").read_text())
    return table


def test_every_lock_file_has_the_table_of_its_vllm() -> None:
    pinned = [
        re.search(r"^vllm(?:-cpu)?==([\d.]+)", lock.read_text(), re.MULTILINE) for lock in ENVIRONMENTS.glob("c*.txt")
    ]
    assert sorted(pin[1] for pin in pinned if pin) == list(VERSIONS)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_table_is_sorted_and_well_formed(version: str) -> None:
    table = load_table(version)
    assert len(table) > 300
    assert list(table) == sorted(table)
    for name, argument in table.items():
        assert re.fullmatch(r"[a-z][a-z0-9-]*", name), name
        assert argument.keys() <= KEYS, name
        assert argument["type"] in ("bool", "int", "float", "str", "json"), name
        assert argument["type"] != "bool" or argument["switch"] is True, name


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("max-model-len", {"type": "int"}),
        ("max-num-batched-tokens", {"type": "int"}),
        ("block-size", {"type": "int"}),
        ("gpu-memory-utilization", {"type": "float", "default": 0.92}),
        ("enable-expert-parallel", {"type": "bool", "switch": True, "no": True, "default": False}),
        ("enable-prefix-caching", {"type": "bool", "switch": True, "no": True}),
        ("enforce-eager", {"type": "bool", "switch": True, "no": True, "default": False}),
        ("disable-log-stats", {"type": "bool", "switch": True, "default": False}),
        ("compilation-config", {"type": "json"}),
        ("served-model-name", {"type": "str", "many": True}),
    ],
)
def test_well_known_arguments_are_told_rightly(version: str, name: str, wanted: dict[str, object]) -> None:
    assert load_table(version)[name] == wanted


@pytest.mark.parametrize("version", VERSIONS)
def test_a_closed_choice_is_listed(version: str) -> None:
    assert load_table(version)["dtype"]["choices"] == ["auto", "bfloat16", "float", "float16", "float32", "half"]


def test_what_is_gone_is_in_no_table_that_came_later() -> None:
    assert set(GONE) & load_table("0.32.0").keys() == set()
    assert set(GONE) & load_table("0.33.0").keys() == {"disable-log-requests"}, "it came back in 0.33"


def test_what_to_use_instead_is_there() -> None:
    assert list(GONE) == sorted(GONE)
    named = {name for hint in GONE.values() for name in re.findall(r"`([a-z0-9-]+)", hint)}
    assert len(named) > 10
    for version in VERSIONS:
        assert named <= load_table(version).keys()
