from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from slipway.loadgen.body import Body, ChunkedBody, Head, open_body, parse_head

PAYLOAD = b"data: {}\n\n" * 3
CHUNKED = b"a\r\ndata: {}\n\n\r\n" * 3 + b"0\r\n\r\n"


def test_head_has_status_and_headers_in_lower_case() -> None:
    head = parse_head(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 0\r\nConnection: Close")
    assert (head.status, head.retry_after_s, head.keeps_open, head.streams) == (429, 7.0, False, False)


@pytest.mark.parametrize("text", [b"SSH-2.0-OpenSSH", b"HTTP/2 200", b"HTTP/1.1 abc", b"HTTP/1.1"])
def test_what_is_no_http_1_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"HTTP|invalid literal"):
        parse_head(text)


@pytest.mark.parametrize("step", [1, 2, 3, 7, 15, 16, 1000])
def test_chunks_come_whole_however_they_are_cut(step: int) -> None:
    body = ChunkedBody()
    taken = b"".join(body.take(CHUNKED[at : at + step]) for at in range(0, len(CHUNKED), step))
    assert (taken, body.over) == (PAYLOAD, True)


def test_a_chunk_of_one_read_is_taken_at_once() -> None:
    body = ChunkedBody()
    assert body.take(b"A;name=value\r\ndata: {}\n\n\r\n") == b"data: {}\n\n"
    assert body.take(b"a\r\ndata: {}\n\n\r\n") == b"data: {}\n\n"
    assert not body.over


@pytest.mark.parametrize(
    "broken", [b"zz\r\nabc\r\n", b"-1\r\n\r\n", b"2\r\nabcd\r\n", b"0\r\n\r\nmore", b"x" * 70, b"\r\n\r\n"]
)
def test_broken_chunks_are_refused(broken: bytes) -> None:
    with pytest.raises(ValueError, match=r"chunk|invalid literal"):
        ChunkedBody().take(broken)


def test_a_body_of_known_length_ends_there() -> None:
    body = open_body(Head(400, {b"content-length": b"5"}))
    assert body.take(b"abc") == b"abc"
    assert not body.over
    assert body.take(b"de") == b"de"
    assert body.over


def test_more_than_the_length_is_refused() -> None:
    with pytest.raises(ValueError, match="Content-Length"):
        Body(2).take(b"abc")


def test_a_body_without_a_length_ends_with_its_connection() -> None:
    body = open_body(Head(200, {}))
    assert body.ends_with_connection
    assert body.take(b"abc") == b"abc"
    assert not body.over


def test_an_empty_body_is_over_before_it_began() -> None:
    assert open_body(Head(503, {b"content-length": b"0"})).over


def test_retry_after_may_be_a_date() -> None:
    def head(value: str) -> Head:
        return parse_head(f"HTTP/1.1 503 No\r\nRetry-After: {value}".encode())

    assert 8 < head(formatdate(time.time() + 10, usegmt=True)).retry_after_s <= 10
    assert head("Wed, 21 Oct 2015 07:28:00 GMT").retry_after_s == 0
    assert [head(value).retry_after_s for value in ("7", "soon", "")] == [7, 0, 0]
