"""Any bytes are either a whole shard or a named fault."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.remote.weights.safetensors import Faulty, data_bytes, load_tensor_names, parse_header, parse_length

SMALL_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just("data_offsets"), inner),
    max_leaves=6,
)


def test_the_names_of_the_tensors_are_read(tmp_path: Path) -> None:
    header = {"__metadata__": {"x": "y"}, "a": {"data_offsets": [0, 4]}, "b": {"data_offsets": [4, 6]}}
    text = json.dumps(header).encode()
    (tmp_path / "shard").write_bytes(len(text).to_bytes(8, "little") + text + b"123456")
    assert load_tensor_names(tmp_path / "shard", 8 + len(text) + 6) == {"a", "b"}


@given(st.binary(max_size=64), st.integers(0, 100))
def test_random_bytes_are_no_length_that_fits(raw: bytes, size: int) -> None:
    try:
        length = parse_length(raw[:8], size)
    except Faulty:
        return
    assert 0 <= length <= size - 8


@given(SMALL_JSON)
def test_any_tensor_has_an_end_or_a_fault(tensor: object) -> None:
    try:
        end = data_bytes(parse_header(json.dumps({"a": tensor}).encode()))
    except Faulty:
        return
    assert isinstance(tensor, dict)
    assert end == tensor["data_offsets"][1]


def test_json_without_end_is_a_fault() -> None:
    with pytest.raises(Faulty, match="its header is not JSON"):
        parse_header(b"[" * 100_000)
