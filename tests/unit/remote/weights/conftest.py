"""Small models to stage."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., Path]:
    """Writes a whole model as a hub lays it out: so many shards, each with so many bytes of random tensors."""

    def make(name: str = "source", *, shards: int = 3, shard_size: int = 100_000) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        weight_map = {f"layer.{n}": f"model-{n:05}-of-{shards:05}.safetensors" for n in range(1, shards + 1)}
        for seed, (tensor, shard) in enumerate(weight_map.items()):
            place = {"dtype": "U8", "shape": [shard_size], "data_offsets": [0, shard_size]}
            text = json.dumps({"__metadata__": {"format": "pt"}, tensor: place}).encode()
            data = random.Random(seed).randbytes(shard_size)
            (folder / shard).write_bytes(len(text).to_bytes(8, "little") + text + data)
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
        (folder / "config.json").write_text('{"model_type": "llama"}')
        (folder / "tokenizer.json").write_text('{"version": "1.0"}')
        return folder

    return make
