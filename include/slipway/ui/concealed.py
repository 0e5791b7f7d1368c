"""The last look before something free-form leaves: what is named like a secret, or is one in a URL, is not shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

HIDDEN = "***"
NAMED = re.compile(
    r"(^|[^a-z])(passwords?|passwd|passphrase|secrets?|token|credentials?|authorization|(api|private|access)[^a-z]?key)"
    r"($|[^a-z])",
    re.IGNORECASE,
)
"""Whole words, so that ``output_tokens`` and ``tokenizer`` stay."""
WORD = r"('[^']*'|[^\s']+)"
SECRETS = "TOKEN|(?:API)?KEY|SECRET|PASSWORD|CREDENTIALS?"
IN_VARIABLE = re.compile(rf"\b((?:[A-Z0-9]+_)*(?:{SECRETS})(?:_[A-Z0-9]+)*=){WORD}")
IN_ARGUMENT = re.compile(rf"(--(?:[\w.]+-)*(?:token|key|secret|password)[ =]){WORD}")
"""In a command line, with its value as the shell quotes it."""
SUSPECT = re.compile("[=@]|--")
"""In every text that one of the three below can find something in."""
IN_URL = re.compile(r"(://[^/\s:@]*:)[^/\s]+(?=@)")


def concealed(value: Any) -> Any:
    """``value`` (JSON) without secrets, at every depth."""
    if isinstance(value, str):
        return _concealed_text(value)
    if isinstance(value, Mapping):
        return {key: HIDDEN if _secret(str(key)) else concealed(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [concealed(inner) for inner in value]
    return value


@lru_cache(maxsize=4096)
def _secret(key: str) -> bool:
    """Whether what has this name is one: the same names come again and again."""
    return NAMED.search(key) is not None


def _concealed_text(text: str) -> str:
    if not SUSPECT.search(text):
        return text
    for pattern in (IN_URL, IN_VARIABLE, IN_ARGUMENT):
        text = pattern.sub(rf"\g<1>{HIDDEN}", text)
    return text
