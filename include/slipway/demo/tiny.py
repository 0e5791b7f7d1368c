"""Makes a tiny random Qwen3 with the demo model's tokenizer: quick to load, and its heads can be shared by two GPUs.

    python -m slipway.demo.tiny --out FOLDER --tokenizer MODEL_FOLDER

It talks nonsense. It is for tests of the parallel settings, not for answers.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slipway.demo.checkpoint import Tensor, write_checkpoint
from slipway.demo.folder import make_folder, write_json
from slipway.errors import SlipwayError

TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "generation_config.json")
SEED = 7
SHARD_BYTES = 10_000_000
HIDDEN, HEADS, KV_HEADS, HEAD_DIM, INNER, LAYERS = 128, 4, 2, 32, 256, 2


def make_tiny(tokenizer: Path, out: Path) -> bool:
    """Make the folder ``out`` with the tokenizer of the model folder ``tokenizer``; True if anything was done."""
    try:
        ids = json.loads((tokenizer / "generation_config.json").read_text(encoding="utf-8"))
        vocabulary = json.loads((tokenizer / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    except OSError as error:
        raise SlipwayError(f"{error.filename}: {error.strerror}", hint="make the demo's model first") from error
    config = _config(vocabulary, ids)

    def write(folder: Path) -> None:
        for name in TOKENIZER:
            shutil.copyfile(tokenizer / name, folder / name)
        write_json(folder / "config.json", config)
        write_checkpoint(folder, list(_tensors(vocabulary)), shard_bytes=SHARD_BYTES)

    return make_folder(out, {"made_by": "slipway.demo.tiny", "seed": SEED, "config": config}, write)


def _config(vocabulary: int, ids: dict[str, int]) -> dict[str, Any]:
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "attention_bias": False,
        "head_dim": HEAD_DIM,
        "hidden_act": "silu",
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "max_position_embeddings": 4096,
        "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS,
        "num_key_value_heads": KV_HEADS,
        "rms_norm_eps": 1e-06,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "vocab_size": vocabulary,
        **ids,
    }


def _tensors(vocabulary: int) -> Iterator[Tensor]:
    for number, (name, shape) in enumerate(_shapes(vocabulary)):
        yield Tensor(name, shape, partial(_values, number, shape))


def _shapes(vocabulary: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "model.embed_tokens.weight", (vocabulary, HIDDEN)
    for layer in range(LAYERS):
        for name, shape in _layer_shapes():
            yield f"model.layers.{layer}.{name}.weight", shape
    yield "model.norm.weight", (HIDDEN,)


def _layer_shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "input_layernorm", (HIDDEN,)
    yield "self_attn.q_proj", (HEADS * HEAD_DIM, HIDDEN)
    yield "self_attn.k_proj", (KV_HEADS * HEAD_DIM, HIDDEN)
    yield "self_attn.v_proj", (KV_HEADS * HEAD_DIM, HIDDEN)
    yield "self_attn.q_norm", (HEAD_DIM,)
    yield "self_attn.k_norm", (HEAD_DIM,)
    yield "self_attn.o_proj", (HIDDEN, HEADS * HEAD_DIM)
    yield "post_attention_layernorm", (HIDDEN,)
    yield "mlp.gate_proj", (INNER, HIDDEN)
    yield "mlp.up_proj", (INNER, HIDDEN)
    yield "mlp.down_proj", (HIDDEN, INNER)


def _values(number: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Norms are ones, all else is small and random; each tensor has a generator of its own."""
    if len(shape) == 1:
        return np.ones(shape, dtype=np.float32)
    return np.random.default_rng((SEED, number)).standard_normal(shape, dtype=np.float32) * np.float32(0.02)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m slipway.demo.tiny", description="Make a tiny random model.")
    parser.add_argument("--out", type=Path, required=True, help="the folder to make")
    parser.add_argument("--tokenizer", type=Path, required=True, help="the folder of the demo's model")
    options = parser.parse_args(argv)
    try:
        made = make_tiny(options.tokenizer, options.out)
    except (SlipwayError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{options.out}: {'made' if made else 'already there'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
