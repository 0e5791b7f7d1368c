"""What stays the same in the events of one answer, so that nearly every read is known at a glance."""

from __future__ import annotations

import re
from functools import cache

LONGEST_SIZE = 6
"""Digits of a chunk's size; a longer chunk is not looked at here."""

_EVENT = re.compile(
    rb"""
    ([0-9a-f]+ | [0-9A-F]+) \r\n
    (data:\ \{ [^\n]*? "(?: delta":\{"\w+ | text )":" )
    (?: [^"\\\n] | \\[^\n] )*
    ( "[^\n]*\} \n\n\r\n )
    """,
    re.VERBOSE,
).fullmatch


class Begins(dict[int, bytes]):
    """How a read begins that is a whole chunk with one event of this frame, by the number of its bytes."""

    def __init__(self, begin: bytes = b"", *, capitals: bool = False) -> None:
        super().__init__()
        self._begin, self._capitals = begin, capitals

    def __missing__(self, size: int) -> bytes:
        self[size] = begin = _size_line(size, self._capitals) + self._begin
        return begin


def frame_of(data: bytes) -> tuple[Begins, bytes] | None:
    """What is before and after the text of an event that came as a chunk of its own; None where it is not so plain.

    A server repeats it from token to token: the request's name, the model, that there is no reason to finish.
    """
    event = _EVENT(data)
    return (Begins(event[2], capitals=event[1].isupper()), event[3]) if event else None


@cache
def _size_line(size: int, capitals: bool) -> bytes:
    """The first line of a chunk that is ``size`` bytes long with it; where there is none, more bytes than these."""
    form = b"%X\r\n" if capitals else b"%x\r\n"
    lines = (form % payload for payload in range(max(0, size - LONGEST_SIZE - 4), size))
    return next((line for line in lines if len(line) + int(line, 16) + 2 == size), bytes(size + 1))
