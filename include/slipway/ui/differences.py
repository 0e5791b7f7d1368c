"""What differs between two deployment files, key by key. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Difference:
    """One key, as ``serve.args.max-num-seqs`` or ``hosts.1.address``; a side that lacks it has None."""

    key: str
    before: Any
    after: Any


def differences(before: Any, after: Any) -> list[Difference]:
    """Every leaf (of JSON) that is not the same on both sides, by key."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    keys = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    return [Difference(key, old.get(key), new.get(key)) for key in keys]


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    for name, inner in _parts(value):
        below = f"{key}.{name}" if key else str(name)
        if _parts(inner):
            yield from _leaves(inner, below)
        else:
            yield below, inner


def _parts(value: Any) -> Sequence[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list | tuple) else []
