"""A Hugging Face checkpoint in bfloat16: safetensors shards with their index, written with numpy alone."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slipway.demo.folder import write_json

BYTES_EACH = 2
INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class Tensor:
    """One weight: its name, its shape, and how to get its values, which are held only while they are written."""

    name: str
    shape: tuple[int, ...]
    load: Callable[[], NDArray[np.float32]]

    @property
    def size(self) -> int:
        """Bytes in the checkpoint."""
        return math.prod(self.shape) * BYTES_EACH


def write_checkpoint(folder: Path, tensors: Sequence[Tensor], *, shard_bytes: int) -> None:
    """Write the tensors, in their order, as shards of at most ``shard_bytes`` (or one tensor), and the index."""
    shards = _split(tensors, shard_bytes)
    weight_map = {}
    for number, shard in enumerate(shards, start=1):
        name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        _write_shard(folder / name, shard)
        weight_map.update({tensor.name: name for tensor in shard})
    total = sum(tensor.size for tensor in tensors)
    write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": weight_map})


def to_bfloat16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The upper half of each float32, rounded to the nearest, ties to even. Values must be finite."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


def _split(tensors: Sequence[Tensor], shard_bytes: int) -> list[list[Tensor]]:
    shards: list[list[Tensor]] = [[]]
    for tensor in tensors:
        if shards[-1] and sum(other.size for other in shards[-1]) + tensor.size > shard_bytes:
            shards.append([])
        shards[-1].append(tensor)
    return shards


def _write_shard(path: Path, tensors: Sequence[Tensor]) -> None:
    """Safetensors: the header's length in 8 bytes, the header as JSON padded to 8, the values one after the other."""
    header = json.dumps(_header(tensors), separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    with path.open("wb") as shard:
        shard.write(struct.pack("<Q", len(header)))
        shard.write(header)
        for tensor in tensors:
            values = tensor.load()
            if values.shape != tensor.shape:
                raise ValueError(f"{tensor.name}: has shape {values.shape}, announced was {tensor.shape}")
            shard.write(to_bfloat16(values).tobytes())


def _header(tensors: Sequence[Tensor]) -> dict[str, Any]:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for tensor in tensors:
        header[tensor.name] = {"dtype": "BF16", "shape": tensor.shape, "data_offsets": [offset, offset + tensor.size]}
        offset += tensor.size
    return header
