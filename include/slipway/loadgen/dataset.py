"""Prompts from a file of others' making: ShareGPT's conversations, chats of the OpenAI API, or bare prompts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slipway.errors import LoadTestFailed

HUMANS = ("human", "user")


def load_dataset(path: Path) -> list[str]:
    """What the user says first in each entry, without repeats, in the file's order.

    The file is JSON lines, or one JSON list. An entry has ``conversations`` (with ``from`` and ``value``), ``messages``
    (with ``role`` and ``content``), or a ``prompt``. Raises LoadTestFailed, with the entry, where one is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        hint = "the path is that of the machine which makes the load"
        raise LoadTestFailed(f"cannot read the data set {path}: {error.strerror}", hint=hint) from error
    lines = [text] if text.lstrip().startswith("[") else [line for line in text.splitlines() if line.strip()]
    read = [entry for number, line in enumerate(lines, start=1) for entry in _parse(path, number, line)]
    said = [_first_words(path, number, entry) for number, entry in enumerate(read, start=1)]
    found = list(dict.fromkeys(words for words in said if words.strip()))
    if not found:
        raise LoadTestFailed(f"{path} holds no prompt", hint="give a file with at least one entry")
    return found


def _parse(path: Path, number: int, line: str) -> list[Any]:
    try:
        read = json.loads(line)
    except ValueError as error:
        hint = "one JSON object a line, or one JSON list"
        raise LoadTestFailed(f"{path}, line {number}: not JSON: {error}", hint=hint) from error
    return read if isinstance(read, list) else [read]


def _first_words(path: Path, number: int, entry: Any) -> str:
    try:
        if "prompt" in entry:
            return str(entry["prompt"])
        if "messages" in entry:
            return _first(entry["messages"], "role", "content")
        return _first(entry["conversations"], "from", "value")
    except (KeyError, TypeError) as error:
        hint = "an entry has `conversations`, `messages` or a `prompt`"
        raise LoadTestFailed(f"{path}, entry {number}: {error!r}", hint=hint) from error


def _first(turns: list[Mapping[str, Any]], who: str, what: str) -> str:
    """Empty where the user says nothing."""
    return next((str(turn[what]) for turn in turns if turn[who] in HUMANS), "")
