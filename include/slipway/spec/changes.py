"""What differs between two deployments, key by key. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from slipway.spec.types import DeploymentSpec

PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


@dataclass(frozen=True)
class Change:
    """One key, as ``serve.args.max-num-seqs`` or ``hosts.node-1.address``; a side that lacks it has None."""

    key: str
    old: Any
    new: Any


def changes(old: DeploymentSpec, new: DeploymentSpec, old_lock: str = "", new_lock: str = "") -> tuple[Change, ...]:
    """Every key of the file that is not the same on both sides, then every pin of the lock files."""
    return (*differing(old.model_dump(mode="json"), new.model_dump(mode="json")), *_pins(old_lock, new_lock))


def differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Change, ...]:
    """Every key of two JSON objects that is not the same on both sides, down to plain values."""
    parts = [part for part in {**old, **new} if part not in old or part not in new or old[part] != new[part]]
    before, after = (dict(_leaves_of(side, parts)) for side in (old, new))
    keys = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
    return tuple(Change(key, before.get(key), after.get(key)) for key in keys)


def _leaves_of(whole: Mapping[str, Any], parts: Iterable[str]) -> Iterator[tuple[str, Any]]:
    for part in parts:
        if part in whole:
            yield from leaves(whole[part], part)


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """The plain values inside, each by its whole key."""
    parts = _parts(value)
    if not parts:
        yield key, value
    for name, inner in parts.items():
        yield from leaves(inner, f"{key}.{name}" if key else name)


def _pins(old: str, new: str) -> tuple[Change, ...]:
    """Lock files that differ in no pin, but in a digest of a wheel or a comment, are one change."""
    if old == new:
        return ()
    pins = differing(*({f"lock.{name}": pin for name, pin in PIN.findall(lock)} for lock in (old, new)))
    return pins or (Change("lock", _short(old), _short(new)),)


def _parts(value: Any) -> dict[str, Any]:
    """What is inside, by name: hosts by theirs, levels by their load. A list of plain values is one value."""
    if isinstance(value, dict):
        return {str(name): inner for name, inner in value.items()}
    if isinstance(value, list) and all(isinstance(each, dict) for each in value):
        return {_name(each, place): each for place, each in enumerate(value)}
    return {}


def _name(part: Mapping[str, Any], place: int) -> str:
    rate = f"{part['rate']:g}_per_s" if part.get("rate") else ""
    return str(part.get("name") or part.get("users") or rate or place)


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
