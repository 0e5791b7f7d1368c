"""One request of a load test as one row, and the files that hold them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from slipway.errors import LoadTestFailed

ROWS_FILES = "rows-*.jsonl"
"""One file a load process, in the folder of its cell."""

CUT = "cut"
"""The kind of a request that was under way when the cell ended: neither answered nor failed."""


@dataclass(frozen=True, slots=True)
class Row:
    """A request and its answer. Times are nanoseconds since the epoch, 0 where the moment never came, by the clock of
    the machine that conducts the cell.

    Receive times are the kernel's stamps, where it gives them. After the first token, each entry of ``gaps_us`` is the
    time from one read that brought tokens to the next, in microseconds; ``gap_tokens`` says how many tokens each
    brought, and is empty where each brought one.
    """

    id: str
    """The ``X-Request-Id`` that was sent."""
    user: int
    error: str
    """Why it failed, by kind; empty where it succeeded."""
    detail: str
    """What the server or the system said of it."""
    status: int
    """HTTP status, 0 where none came."""
    scheduled_ns: int
    """When it was due: at the end of the user's answer before, or of the user's pause."""
    sent_ns: int
    """Just before its first byte was handed to the kernel, on a connection that stood."""
    first_event_ns: int
    """First event of any kind, a role-only one included."""
    first_token_ns: int
    """First event with content, reasoning or a tool call."""
    first_content_ns: int
    """First event with content."""
    last_token_ns: int
    ended_ns: int
    """The answer's last byte, or when its failure was noticed."""
    gaps_us: list[int]
    gap_tokens: list[int]
    first_tokens: int
    """Tokens that had come when the first event with content, reasoning or a tool call had."""
    first_read_tokens: int
    """Tokens that had come when the read that brought that event was done."""
    late_us: int
    """Upper bound of the first token's error where its read brought more than its own event, else 0."""
    merged_tokens: int
    """Tokens that came in one read with another event's."""
    counted_tokens: int
    """Output tokens as counted on the way: as each event states, else one an event."""
    prompt_tokens: int
    output_tokens: int
    """As the server's ``usage`` says."""
    asked_prompt_tokens: int
    """Tokens of the prompt's own text, as its maker counted them; the chat template's come on top."""
    received_bytes: int
    connect_us: int
    """Time to connect, where the request needed a new connection; it lies before ``sent_ns``."""
    asked_output_tokens: int = 0
    """The longest answer that was asked for; 0 in files of earlier versions."""
    host: str = ""
    """The other host whose load process sent it; empty for the machine that conducts the cell."""

    def to_json(self) -> str:
        return json.dumps({name: getattr(self, name) for name in NAMES}, separators=(",", ":"))


NAMES = tuple(field.name for field in fields(Row))
ALL_NAMES = frozenset(NAMES)


def parse_row(line: str) -> Row:
    """Raises ValueError where the line is not a row."""
    read = json.loads(line)
    if not isinstance(read, dict) or read.keys() != ALL_NAMES:
        raise ValueError("not a row of a load test")
    return Row(**read)


def load_rows(folder: Path) -> Iterator[Row]:
    """The rows of every load process of a cell. Raises LoadTestFailed, with file and line, where one is broken."""
    for path in sorted(folder.glob(ROWS_FILES)):
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    yield parse_row(line)
                except ValueError as error:
                    hint = "its load process was killed while it wrote; run again"
                    raise LoadTestFailed(f"{path}, line {number}: {error}", hint=hint) from error
