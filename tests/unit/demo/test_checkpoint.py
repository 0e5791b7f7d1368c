"""Shards that any reader of safetensors understands, with values rounded as bfloat16 is defined."""

from __future__ import annotations

import json
import struct
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.demo.checkpoint import Tensor, to_bfloat16, write_checkpoint
from slipway.remote.weights.safetensors import load_tensor_names


def tensor(name: str, *shape: int) -> Tensor:
    return Tensor(name, shape, partial(np.full, shape, 1.5, dtype=np.float32))


def test_shards_are_filled_in_order_and_a_large_tensor_has_one_of_its_own(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, [tensor("a", 2, 3), tensor("b", 4), tensor("c", 100), tensor("d", 1)], shard_bytes=20)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    first, second, third = (f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3))
    assert index == {"metadata": {"total_size": 222}, "weight_map": {"a": first, "b": first, "c": second, "d": third}}
    for shard in (first, second, third):
        size = (tmp_path / shard).stat().st_size
        named = {name for name, file in index["weight_map"].items() if file == shard}
        assert load_tensor_names(tmp_path / shard, size) == named


def test_a_shard_is_an_aligned_header_and_the_values(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, [tensor("a", 2, 3), tensor("b", 1)], shard_bytes=1000)
    data = (tmp_path / "model-00001-of-00001.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    assert length % 8 == 0
    assert header["a"] == {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}
    assert header["b"] == {"dtype": "BF16", "shape": [1], "data_offsets": [12, 14]}
    assert data[8 + length :] == b"\xc0\x3f" * 7


def test_a_tensor_of_another_shape_than_announced_is_an_error(tmp_path: Path) -> None:
    wrong = Tensor("a", (3, 2), partial(np.zeros, (2, 3), dtype=np.float32))
    with pytest.raises(ValueError, match=r"a: has shape \(2, 3\), announced was \(3, 2\)"):
        write_checkpoint(tmp_path, [wrong], shard_bytes=100)


@pytest.mark.parametrize(
    ("value", "bits"),
    [
        (1.0, 0x3F80),
        (-2.0, 0xC000),
        (1.00390625, 0x3F80),  # half way between 1 and the next: to the even one, below
        (1.01171875, 0x3F82),  # half way again: to the even one, above
        (1.00390637, 0x3F81),  # just over half way
        (0.0, 0x0000),
    ],
)
def test_rounding_is_to_the_nearest_and_ties_go_to_even(value: float, bits: int) -> None:
    assert to_bfloat16(np.array([value], dtype=np.float32)).tolist() == [bits]


@given(st.lists(st.floats(-(2.0**99), 2.0**99, width=32), min_size=1, max_size=20))
def test_no_value_is_further_off_than_half_a_step(values: list[float]) -> None:
    given_values = np.array(values, dtype=np.float32)
    back = (to_bfloat16(given_values).astype(np.uint32) << 16).view(np.float32)
    assert np.all(np.abs(back - given_values) <= np.abs(given_values) * 2.0**-8 + np.float32(2.0**-133))
