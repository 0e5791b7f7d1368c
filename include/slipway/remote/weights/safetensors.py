"""The header of a safetensors file: 8 bytes of length, then JSON with the place of each tensor."""

from __future__ import annotations

import json
import operator
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LENGTH_BYTES = 8
LONGEST_HEADER = 100_000_000
"""The format's own limit, in bytes."""


class Faulty(ValueError):
    """A file is not what its name says; the message says why."""


def load_tensor_names(path: Path, size: int) -> frozenset[str]:
    """The tensors of a shard, from its header alone; ``size`` is the file's size in bytes.

    Raises Faulty where the header is none, or does not fit the size; OSError where the file cannot be read.
    """
    with path.open("rb") as file:
        length = parse_length(file.read(LENGTH_BYTES), size)
        header = parse_header(file.read(length))
    promised = LENGTH_BYTES + length + data_bytes(header)
    if promised != size:
        state = "truncated" if size < promised else "too long"
        raise Faulty(f"is {state}: its header speaks of {promised} bytes, the file has {size}")
    return frozenset(header) - {"__metadata__"}


def parse_length(raw: bytes, size: int) -> int:
    """The length of the header, in bytes."""
    if len(raw) < LENGTH_BYTES:
        raise Faulty(f"is truncated: {size} bytes are no safetensors file")
    length: int = struct.unpack("<Q", raw)[0]
    if length > LONGEST_HEADER:
        raise Faulty(f"is no safetensors file: its header would be {length} bytes long")
    if LENGTH_BYTES + length > size:
        raise Faulty(f"is truncated inside its header: that has {length} bytes, the file {size}")
    return length


def parse_header(raw: bytes) -> Mapping[str, Any]:
    """The header as JSON: tensor name -> its type, shape and ``data_offsets``."""
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Faulty("is no safetensors file: its header is not JSON") from error
    if not isinstance(header, dict):
        raise Faulty("is no safetensors file: its header is not a JSON object")
    return header


def data_bytes(header: Mapping[str, Any]) -> int:
    """How many bytes of tensors the header speaks of: where the last one ends."""
    try:
        ends = [operator.index(tensor["data_offsets"][1]) for name, tensor in header.items() if name != "__metadata__"]
    except (KeyError, IndexError, TypeError) as error:
        raise Faulty("is no safetensors file: a tensor in its header has no data_offsets") from error
    return max(ends, default=0)
