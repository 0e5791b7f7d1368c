"""Secrets struck out of whatever leaves the host: by name, and by value wherever a value is known."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

STRUCK = "***"
NAME = r"(?:[A-Za-z0-9]+[_-])*(?:api[_-]?key|token|passwords?|passwd|secrets?|credentials?|authorization)"
NAMED = re.compile(rf"(?<![A-Za-z0-9])-{{0,2}}{NAME}$", re.IGNORECASE)
SAID = re.compile(rf"(?<![A-Za-z0-9])({NAME}[\"']?\s*[=:]\s*[\[(]?[\"']?)[^\s\"',)\]}}]+", re.IGNORECASE)
BEARER = re.compile(r"(Bearer\s+)[^\s\"']+", re.IGNORECASE)
IN_URL = re.compile(r"(://[^/\s:@]*:)[^/\s]+(?=@)")
SHORTEST = 8
"""Characters of a value that is struck out wherever it stands: a shorter one would strike words."""


def struck_env(env: Mapping[str, str]) -> dict[str, str]:
    """An environment in which what is named like a secret has no value."""
    return {name: STRUCK if NAMED.search(name) else struck(value) for name, value in sorted(env.items())}


def struck_argv(argv: Sequence[str]) -> list[str]:
    """An argument list without secrets, as one word (``--api-key=x``) or as two."""
    words = [struck(word) for word in argv]
    return [STRUCK if at and NAMED.search(argv[at - 1]) else word for at, word in enumerate(words)]


def struck(text: str, values: Iterable[str] = ()) -> str:
    """A text without what is said as a secret, and without these ``values``."""
    for value in values:
        text = text.replace(value, STRUCK)
    text = BEARER.sub(rf"\g<1>{STRUCK}", text)
    return IN_URL.sub(rf"\g<1>{STRUCK}", SAID.sub(rf"\g<1>{STRUCK}", text))


def secret_values(env: Mapping[str, str]) -> set[str]:
    """The values that are secrets, as far as they are long enough to be known by their text."""
    return {value for name, value in env.items() if NAMED.search(name) and len(value) >= SHORTEST}
