from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipway.loadgen.frame import Begins, frame_of

BEGIN = b'data: {"id":"a","choices":[{"index":0,"delta":{"content":"'
END = b'"},"finish_reason":null}]}\n\n\r\n'


def _read(text: bytes, form: bytes = b"%x") -> bytes:
    """A chunk with one event, as it comes in one read."""
    return form % (len(BEGIN) + len(text) + len(END) - 2) + b"\r\n" + BEGIN + text + END


def test_a_frame_is_what_is_around_the_text() -> None:
    frame = frame_of(_read(b"a"))
    assert frame is not None
    begins, end = frame
    other = _read(b" another")
    assert (begins[len(other)], end) == (other[: other.index(b" another")], END)


@pytest.mark.parametrize("text", [b"", b'say \\"x\\"', b"\\n\\n", b"\\\\", "日本🙂".encode(), b"]}}"])
def test_a_text_may_hold_what_json_escapes(text: bytes) -> None:
    frame = frame_of(_read(text))
    assert frame is not None
    assert frame[1] == END


@pytest.mark.parametrize("form", [b"%x", b"%X"])
def test_each_read_begins_with_the_size_of_its_chunk(form: bytes) -> None:
    frame = frame_of(_read(b"xxxx", form))  # a size of 5a
    assert frame is not None
    for length in range(5000):
        read = _read(b"x" * length, form)
        assert read.startswith(frame[0][len(read)])


@settings(max_examples=200, deadline=None)
@given(size=st.integers(0, 70_000))
def test_a_size_line_is_that_of_this_size_or_can_not_be_there(size: int) -> None:
    line = Begins()[size]
    assert len(line) > size or len(line) + int(line, 16) + 2 == size


def test_what_is_no_plain_event_has_none(wire: Any) -> None:
    call = {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": "a"}}]}}]}
    reads = [wire.chunk(wire.event(each)) for each in (wire.delta(), wire.usage(1, 2), call, "[DONE]")]
    reads += [wire.end, wire.head, b"", _read(b"a") * 2, _read(b"a")[:-1], BEGIN + END]
    assert [frame_of(each) for each in reads] == [None] * len(reads)
