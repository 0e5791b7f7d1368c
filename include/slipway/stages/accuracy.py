"""A fixed set of short questions with known answers, and how many a server gets right."""

from __future__ import annotations

import functools
import importlib.resources
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """A question, and the answers of which one must be said."""

    ask: str
    expect: Sequence[str]


@functools.cache
def questions() -> tuple[Known, ...]:
    """Slipway's own set: facts and sums that need a line."""
    text = importlib.resources.files("slipway.stages").joinpath("questions.json").read_text(encoding="utf-8")
    return tuple(Known(each["ask"], tuple(each["expect"])) for each in json.loads(text))


def right(known: Known, said: str) -> bool:
    """Whether a known answer is said as words of its own: `12` is not in `120`."""
    return any(re.search(rf"(?<![\w.]){re.escape(each)}(?![\w]|\.\d)", said, re.IGNORECASE) for each in known.expect)
