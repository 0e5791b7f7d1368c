from __future__ import annotations

import json
from typing import Any

import pytest

from slipway.loadgen.chunk import Chunk, parse_chunk, parse_usage

ROLE_ONLY = {"role": "assistant", "content": ""}


def _chat(**delta: Any) -> bytes:
    return json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (_chat(**ROLE_ONLY), Chunk()),
        (_chat(role="assistant", content="Hi"), Chunk(visible=True, content=True, token=True)),
        (_chat(content="Hi"), Chunk(visible=True, content=True, token=True)),
        (_chat(content=""), Chunk(token=True)),
        (_chat(), Chunk()),
        (_chat(reasoning="so"), Chunk(visible=True, token=True)),
        (_chat(reasoning_content="so"), Chunk(visible=True, token=True)),
        (_chat(content=None, tool_calls=[{"index": 0}]), Chunk(visible=True, token=True)),
        (b'{"choices":[{"index":0,"text":" a"}]}', Chunk(visible=True, content=True, token=True)),
        (b'{"choices":[{"index":0,"text":""}]}', Chunk(token=True)),
        (b'{"choices":[],"usage":{}}', Chunk()),
        (b'{"error":{"message":"out of memory"}}', Chunk(error='{"message": "out of memory"}')),
    ],
)
def test_what_an_event_brings(data: bytes, expected: Chunk) -> None:
    assert parse_chunk(data) == expected


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"choices":{"index":0}}', b'{"choices":["x"]}', b"\xff{}"])
def test_what_is_not_of_this_shape_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):  # JSON, its encoding or its shape: each in its own words
        parse_chunk(data)


def test_usage_is_read_where_it_stands() -> None:
    assert parse_usage(b'{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5}}') == (3, 5)
    assert parse_usage(b'{"choices":[],"usage":null}') is None
    assert parse_usage(b'{"choices":[]}') is None


@pytest.mark.parametrize("counts", ['"prompt_tokens":3', '"prompt_tokens":3,"completion_tokens":Infinity'])
def test_usage_without_its_counts_is_refused(counts: str) -> None:
    with pytest.raises(ValueError, match="lacks its counts"):
        parse_usage(f'{{"usage":{{{counts}}}}}'.encode())


def test_json_that_is_nested_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_chunk(b'{"a":' + b"[" * 100_000)
