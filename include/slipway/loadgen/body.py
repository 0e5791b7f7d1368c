"""The head and the body of an HTTP/1.1 answer, taken apart as its bytes come in."""

from __future__ import annotations

import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

LONGEST_HEAD = 64 * 1024
END_OF_HEAD = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Head:
    """Status line and headers, names in lower case. ``streams`` says whether the body is an event stream."""

    status: int
    headers: dict[bytes, bytes]

    @property
    def streams(self) -> bool:
        return self.headers.get(b"content-type", b"").lower().startswith(b"text/event-stream")

    @property
    def keeps_open(self) -> bool:
        return self.headers.get(b"connection", b"").lower() != b"close"

    @property
    def retry_after_s(self) -> float:
        """From now on, also where the server gave a date; 0 where it gave none, or one that is past."""
        value = self.headers.get(b"retry-after", b"")
        if value.isdigit() or not value:
            return float(value or 0)
        try:
            moment = parsedate_to_datetime(value.decode("latin-1"))
        except ValueError:
            return 0.0
        return max(0.0, moment.timestamp() - time.time())


def parse_head(text: bytes) -> Head:
    """Raises ValueError where it is no HTTP/1.x answer."""
    first, *lines = text.split(b"\r\n")
    version, _, rest = first.partition(b" ")
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise ValueError(f"not HTTP/1.x: {first[:60]!r}")
    pairs = (line.partition(b":") for line in lines)
    return Head(int(rest[:3]), {name.strip().lower(): value.strip() for name, _, value in pairs})


class Body:
    """Takes the transfer coding off; ``over`` once the last byte has come. A broken coding raises ValueError."""

    __slots__ = ("_left", "over")

    def __init__(self, left: int | None) -> None:
        self._left = left
        self.over = left == 0

    def take(self, data: bytes) -> bytes:
        """Of a length given in advance, or of none: then the end of the connection is its end."""
        if self._left is None:
            return data
        if len(data) > self._left:
            raise ValueError("more bytes than Content-Length says")
        self._left -= len(data)
        self.over = self._left == 0
        return data

    @property
    def ends_with_connection(self) -> bool:
        return self._left is None

    @property
    def between_chunks(self) -> bool:
        """Whether the next byte begins a chunk."""
        return False


class ChunkedBody(Body):
    """Chunks with their sizes in front of them; trailers are not understood."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        super().__init__(-1)
        self._kept = b""

    def take(self, data: bytes) -> bytes:
        if not self._kept:
            cut = data.find(b"\r\n", 0, 10)
            if cut > 0 and (size := _size(data[:cut])) and cut + size + 4 == len(data):
                return data[cut + 2 : -2]
        return self._piece_by_piece(self._kept + data)

    @property
    def between_chunks(self) -> bool:
        return not (self._kept or self.over)

    def _piece_by_piece(self, data: bytes) -> bytes:
        """The payload of the chunks that are whole; the rest is kept for the next read."""
        payload, at = [], 0
        while not self.over:
            cut = data.find(b"\r\n", at)
            if cut < 0:
                if len(data) - at > 64:
                    raise ValueError(f"no chunk size: {data[at : at + 20]!r}")
                break
            size = _size(data[at:cut].partition(b";")[0])
            end = cut + 2 + size
            if len(data) < end + 2:
                break
            if data[end : end + 2] != b"\r\n":
                raise ValueError("a chunk is longer than its size")
            payload.append(data[cut + 2 : end])
            at, self.over = end + 2, size == 0
        self._kept = data[at:]
        if self.over and self._kept:
            raise ValueError("bytes after the last chunk")
        return b"".join(payload)


def _size(digits: bytes) -> int:
    size = int(digits, 16)
    if size < 0:
        raise ValueError("a negative chunk size")
    return size


def open_body(head: Head) -> Body:
    """What comes after a head. Raises ValueError."""
    if head.headers.get(b"transfer-encoding", b"").lower() == b"chunked":
        return ChunkedBody()
    length = head.headers.get(b"content-length")
    return Body(None if length is None else int(length))
