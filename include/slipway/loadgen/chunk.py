"""One event's JSON: does it bring a token, and is there anything to see?"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one event of a completion stream says.

    ``visible`` is content, reasoning or a tool call. ``token`` is false for an event that only names the role or states
    the usage. ``error`` is the server's own message inside the stream.
    """

    visible: bool = False
    content: bool = False
    token: bool = False
    error: str = ""


def parse_chunk(data: bytes) -> Chunk:
    """Raises ValueError where it is not JSON, or not of this shape."""
    read = _load(data)
    if "error" in read:
        return Chunk(error=json.dumps(read["error"]))
    choices = read.get("choices") or []
    if not isinstance(choices, list):
        raise ValueError("`choices` is not a list")  # noqa: TRY004 - the text is wrong, not a caller
    return _of_choice(_mapping(choices[0])) if choices else Chunk()


def parse_usage(data: bytes) -> tuple[int, int] | None:
    """Prompt and completion tokens that an event states. Raises ValueError where it is not JSON."""
    usage = _load(data).get("usage")
    if not isinstance(usage, dict):
        return None
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not (isinstance(prompt, int) and isinstance(completion, int)):
        raise ValueError(f"`usage` lacks its counts: {usage}")  # noqa: TRY004 - the text is wrong, not a caller
    return prompt, completion


def _of_choice(choice: dict[str, Any]) -> Chunk:
    if "text" in choice:
        text = bool(choice["text"])
        return Chunk(visible=text, content=text, token=True)
    delta = _mapping(choice.get("delta") or {})
    content = bool(delta.get("content"))
    visible = content or bool(delta.get("reasoning") or delta.get("reasoning_content") or delta.get("tool_calls"))
    return Chunk(visible=visible, content=content, token=visible or bool(delta and "role" not in delta))


def _load(data: bytes) -> dict[str, Any]:
    try:
        return _mapping(json.loads(data))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"not an object: {str(value)[:60]}")  # noqa: TRY004 - the text is wrong, not a caller
    return value
