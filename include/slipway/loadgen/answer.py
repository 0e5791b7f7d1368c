"""One answer, from its first byte to its last: fed with bytes and receive times, it keeps what a row needs.

Most reads bring one event, so that path is short: JSON is parsed up to the first token and for the usage at the end. In
between, an event that is the one before with another text is counted, and any other is looked at by its marks.
"""

from __future__ import annotations

import re

from slipway.loadgen.body import END_OF_HEAD, LONGEST_HEAD, Body, Head, open_body, parse_head
from slipway.loadgen.chunk import parse_chunk, parse_usage
from slipway.loadgen.frame import Begins, frame_of

LONGEST_EVENT = 4 << 20
LONGEST_DETAIL = 300
LONGEST_REFUSAL = 16 * 1024
"""How much of an answer that is no stream is read, in bytes."""

_USUAL = re.compile(rb"([0-9a-fA-F]{1,6})\r\ndata: \{[^\n]*\}\n\n\r\n").fullmatch
_STATED = re.compile(rb'"completion_tokens":\s*(\d+)')
_CONTENT = re.compile(rb'"(?:content|text)":\s*"[^"]')
_NO_TOKEN = re.compile(rb'"delta":\s*\{\}')


class Answer:
    """Feed it until :meth:`feed` says that it is over; then ``error`` is its kind of failure, or empty.

    ``most_tokens`` bounds it: a server that sends far more than was asked for is cut off. Times are nanoseconds.
    """

    __slots__ = (
        "_begins",
        "_body",
        "_done",
        "_end",
        "_flows",
        "_head_bytes",
        "_last",
        "_most",
        "_refusal",
        "_tail",
        "connect_us",
        "detail",
        "ended_ns",
        "error",
        "first_content_ns",
        "first_event_ns",
        "first_read_tokens",
        "first_token_ns",
        "first_tokens",
        "gap_tokens",
        "gaps_us",
        "head",
        "last_token_ns",
        "late_us",
        "merged_tokens",
        "output_tokens",
        "prompt_tokens",
        "received_bytes",
        "sent_ns",
        "tokens",
    )

    def __init__(self, most_tokens: int) -> None:
        self._most = 2 * most_tokens + 64
        self._body: Body | None = None
        self._done = self._flows = False
        self._begins, self._end = Begins(), b""
        self._head_bytes = self._tail = self._refusal = self._last = b""
        self.head: Head | None = None
        self.error = self.detail = ""
        self.sent_ns = self.first_event_ns = self.first_token_ns = self.first_content_ns = self.last_token_ns = 0
        self.ended_ns = self.connect_us = self.received_bytes = self.late_us = 0
        self.tokens = self.first_tokens = self.first_read_tokens = self.merged_tokens = 0
        self.prompt_tokens = self.output_tokens = 0
        self.gaps_us: list[int] = []
        self.gap_tokens: list[int] = []

    @property
    def reusable(self) -> bool:
        """Whether its connection may carry another request: the body was read to its end, and neither side closes."""
        return bool(self.head and self.head.keeps_open and self._body and self._body.over)

    def fail(self, kind: str, detail: str, moment_ns: int) -> None:
        """End it as failed; the first failure stands."""
        if not self.ended_ns:
            self.error, self.detail, self.ended_ns = kind, detail[:LONGEST_DETAIL], moment_ns

    def feed(self, data: bytes, stamp_ns: int, since_ns: int) -> bool:
        """Take one read, which came at ``stamp_ns`` and was not there at ``since_ns``. Answers whether it is over."""
        self.received_bytes += len(data)
        if self._flows and self._take_usual(data, stamp_ns):
            return False
        try:
            payload = self._take_transfer(data)
        except ValueError as error:
            self.fail("broken_http", str(error), stamp_ns)
            return True
        try:
            if payload:
                self._take_payload(payload, stamp_ns, since_ns)
        except ValueError as error:
            self.fail("broken_json", str(error), stamp_ns)
        if self._body is not None and self._body.over and not self.ended_ns:
            self._conclude(stamp_ns)
        self._flows = bool(self.first_token_ns and not self._tail and self._body and self._body.between_chunks)
        return bool(self.ended_ns)

    def hang_up(self, moment_ns: int) -> None:
        """The server closed the connection."""
        if self.head is None:
            self.fail("no_answer", "the connection was closed before an answer came", moment_ns)
        elif self._body is not None and self._body.ends_with_connection:
            self._conclude(moment_ns)
        else:
            self.fail("truncated_stream", f"the connection was closed after {self.tokens} tokens", moment_ns)

    def _take_usual(self, data: bytes, stamp_ns: int) -> bool:
        """A read that is one chunk with one event that brings tokens: nearly all are. Says whether it was one."""
        size = len(data)
        begin, end = self._begins[size], self._end
        alike = data.startswith(begin) and data.endswith(end) and data.find(b'"', len(begin)) == size - len(end)
        added = 1 if alike else self._look(data)
        if added < 1 or self.tokens + added > self._most:
            return False
        self.tokens += added
        self._note_gap(added, stamp_ns)
        return True

    def _look(self, data: bytes) -> int:
        """The tokens of a read that is one chunk with one event; 0 where it is not, or has more to tell than them."""
        usual = _USUAL(data)
        if usual is None or int(usual[1], 16) != len(data) - len(usual[1]) - 4:
            return 0
        if b'"delta":{"' not in data and b'"text":"' not in data:
            return 0
        if not self.first_content_ns and b'"content":"' in data:
            return 0
        place = data.rfind(b'"completion_tokens"')
        if place >= 0 and (stated := _STATED.match(data, place)):
            return int(stated[1]) - self.tokens
        if frame := frame_of(data):
            self._begins, self._end = frame
        return 1

    def _take_transfer(self, data: bytes) -> bytes:
        """The payload in a read, without its head and its transfer coding. Raises ValueError."""
        if self._body is None:
            data = self._take_head(data)
        return self._body.take(data) if self._body is not None and data else b""

    def _take_head(self, data: bytes) -> bytes:
        data = self._head_bytes + data
        while (end := data.find(END_OF_HEAD)) >= 0:
            head, data = parse_head(data[:end]), data[end + len(END_OF_HEAD) :]
            if head.status >= 200:
                self.head, self._body = head, open_body(head)
                return data
        if len(data) > LONGEST_HEAD:
            raise ValueError(f"a head of more than {LONGEST_HEAD} bytes")
        self._head_bytes = data
        return b""

    def _take_payload(self, payload: bytes, stamp_ns: int, since_ns: int) -> None:
        if not (self.head and self.head.status == 200 and self.head.streams):
            self._refusal = (self._refusal + payload)[:LONGEST_REFUSAL]
            return
        before, had_first = self.tokens, self.first_token_ns
        if not self._tail and payload.startswith(b"data: ") and payload.find(b"\n\n") == len(payload) - 2:
            self._take_data(payload[6:-2], stamp_ns)
            events = 1
        else:
            events = self._take_events(payload, stamp_ns)
        if self.tokens > before and self.first_token_ns:
            self._note_tokens(self.tokens - before, events, stamp_ns, since_ns, first_read=not had_first)

    def _take_events(self, payload: bytes, stamp_ns: int) -> int:
        """Every whole event of a read that is not exactly one; answers how many brought tokens."""
        *events, self._tail = (self._tail + payload).replace(b"\r\n", b"\n").split(b"\n\n")
        if len(self._tail) > LONGEST_EVENT:
            raise ValueError("an event without an end")
        bringing = 0
        for event in events:
            before = self.tokens
            data = b"\n".join(line[5:].strip() for line in event.split(b"\n") if line.startswith(b"data:"))
            if data:
                self._take_data(data, stamp_ns)
            bringing += self.tokens > before
        return bringing

    def _take_data(self, data: bytes, stamp_ns: int) -> None:
        if self.ended_ns:
            return
        if data == b"[DONE]":
            self._done = True
            return
        if data[:1] != b"{" or data[-1:] != b"}":
            self.fail("broken_json", data[:80].decode(errors="replace"), stamp_ns)
            return
        self.first_event_ns = self.first_event_ns or stamp_ns
        self._last = data
        if not self.first_token_ns:
            self._take_early(data, stamp_ns)
        elif b'"delta"' in data or b'"text"' in data:
            self._count(data)
            if not self.first_content_ns and _CONTENT.search(data):
                self.first_content_ns = stamp_ns
        else:
            self._raise_error(parse_chunk(data).error, stamp_ns)
        if self.tokens > self._most:
            self.fail("endless_stream", f"{self.tokens} tokens came, and no end", stamp_ns)

    def _take_early(self, data: bytes, stamp_ns: int) -> None:
        chunk = parse_chunk(data)
        self._raise_error(chunk.error, stamp_ns)
        if chunk.token:
            self._count(data)
        if chunk.visible:
            self.first_token_ns, self.first_tokens = stamp_ns, self.tokens
            self.first_content_ns = stamp_ns if chunk.content else 0

    def _raise_error(self, error: str, stamp_ns: int) -> None:
        if error:
            self.fail("stream_error", error, stamp_ns)

    def _count(self, data: bytes) -> None:
        """An event that states its usage brings what is new in it; another brings one token, or none if it is empty."""
        place = data.rfind(b'"completion_tokens"')
        if place >= 0 and (stated := _STATED.match(data, place)):
            self.tokens = max(self.tokens, int(stated[1]))
        elif not _NO_TOKEN.search(data):
            self.tokens += 1

    def _note_tokens(self, added: int, events: int, stamp_ns: int, since_ns: int, *, first_read: bool) -> None:
        if first_read:
            self.first_read_tokens = self.tokens
            added = self.tokens - self.first_tokens
            self.last_token_ns = self.first_token_ns
            if not added:
                return
            self.late_us = max(0, stamp_ns - since_ns) // 1000
        if events > 1:
            self.merged_tokens += added
        self._note_gap(added, stamp_ns)

    def _note_gap(self, added: int, stamp_ns: int) -> None:
        """``gap_tokens`` stays empty for as long as each gap brought one token."""
        if self.gap_tokens:
            self.gap_tokens.append(added)
        elif added != 1:
            self.gap_tokens = [1] * len(self.gaps_us) + [added]
        self.gaps_us.append((stamp_ns - self.last_token_ns + 500) // 1000)
        self.last_token_ns = stamp_ns

    def _conclude(self, stamp_ns: int) -> None:
        status = self.head.status if self.head else 0
        if status != 200:
            self.fail(f"http_{status}", self._refusal.decode(errors="replace"), stamp_ns)
        elif not (self.head and self.head.streams):
            self.fail("not_a_stream", self._refusal.decode(errors="replace"), stamp_ns)
        elif not self._done:
            self.fail("truncated_stream", f"it ended without [DONE] after {self.tokens} tokens", stamp_ns)
        else:
            self._take_usage(stamp_ns)

    def _take_usage(self, stamp_ns: int) -> None:
        try:
            usage = parse_usage(self._last) if self._last else None
        except ValueError as error:
            self.fail("broken_json", str(error), stamp_ns)
            return
        if usage is None:
            self.fail("no_usage", "the last event does not state the usage", stamp_ns)
        elif not self.first_token_ns:
            self.fail("no_tokens", f"nothing to see in {usage[1]} tokens", stamp_ns)
        else:
            self.prompt_tokens, self.output_tokens = usage
            self.ended_ns = stamp_ns
