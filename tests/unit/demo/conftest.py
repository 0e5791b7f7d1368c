"""A real GGUF file of a very small Llama, written by gguf's own writer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import quantize
from numpy.typing import NDArray

HEADS, KV_HEADS, HEAD_DIM, INNER, LAYERS = 4, 2, 8, 64, 2
HIDDEN = HEADS * HEAD_DIM
TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "a", "b", "Ġ", "ab"]
Weights = dict[str, NDArray[np.float32]]


def weights(vocabulary: int) -> Weights:
    """The original weights, under Hugging Face's names."""
    shapes = {"model.embed_tokens.weight": (vocabulary, HIDDEN), "model.norm.weight": (HIDDEN,)}
    for layer in range(LAYERS):
        own = {
            "input_layernorm": (HIDDEN,),
            "self_attn.q_proj": (HEADS * HEAD_DIM, HIDDEN),
            "self_attn.k_proj": (KV_HEADS * HEAD_DIM, HIDDEN),
            "self_attn.v_proj": (KV_HEADS * HEAD_DIM, HIDDEN),
            "self_attn.o_proj": (HIDDEN, HEADS * HEAD_DIM),
            "post_attention_layernorm": (HIDDEN,),
            "mlp.gate_proj": (INNER, HIDDEN),
            "mlp.up_proj": (INNER, HIDDEN),
            "mlp.down_proj": (HIDDEN, INNER),
        }
        shapes |= {f"model.layers.{layer}.{name}.weight": shape for name, shape in own.items()}
    random = np.random.default_rng(1)
    # Integers up to 127 with one 127 in each block of 32: exact in bfloat16 and, as 8-bit blocks, in Q8_0.
    return {name: _exact(random.integers(-127, 128, shape)) for name, shape in shapes.items()}


def _exact(values: NDArray[np.int64]) -> NDArray[np.float32]:
    values[..., ::32] = 127
    return values.astype(np.float32)


def permuted(weight: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """What llama.cpp's converter does to the rows of q and k."""
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return halves.swapaxes(1, 2).reshape(weight.shape)


GGUF_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def gguf_name(name: str) -> str:
    if name == "model.embed_tokens.weight":
        return "token_embd.weight"
    if name == "model.norm.weight":
        return "output_norm.weight"
    _, _, layer, part, *rest = name.removesuffix(".weight").split(".")
    return f"blk.{layer}.{GGUF_NAMES['.'.join([part, *rest])]}.weight"


def write_gguf(path: Path, *, arch: str = "llama", pre: str = "smollm", extra: str | None = None) -> Path:
    writer = GGUFWriter(path, arch)
    writer.add_uint32("llama.context_length", 128)
    writer.add_uint32("llama.embedding_length", HIDDEN)
    writer.add_uint32("llama.block_count", LAYERS)
    writer.add_uint32("llama.feed_forward_length", INNER)
    writer.add_uint32("llama.rope.dimension_count", HEAD_DIM)
    writer.add_uint32("llama.attention.head_count", HEADS)
    writer.add_uint32("llama.attention.head_count_kv", KV_HEADS)
    writer.add_float32("llama.attention.layer_norm_rms_epsilon", 1e-5)
    writer.add_float32("llama.rope.freq_base", 100000.0)
    writer.add_uint32("llama.vocab_size", len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(TOKENS)
    writer.add_token_types([3, 3, 3, 1, 1, 1, 1])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_chat_template("{{ messages }}")
    for name, weight in weights(len(TOKENS)).items():
        _add(writer, name, weight)
    if extra:
        writer.add_tensor(extra, np.ones((4, HIDDEN), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add(writer: GGUFWriter, name: str, weight: NDArray[np.float32]) -> None:
    if "q_proj" in name:
        weight = permuted(weight, HEADS)
    if "k_proj" in name:
        weight = permuted(weight, KV_HEADS)
    if weight.ndim == 1:
        writer.add_tensor(gguf_name(name), weight)
        return
    kind = GGMLQuantizationType.Q8_0
    writer.add_tensor(gguf_name(name), quantize(weight, kind), raw_dtype=kind)


@pytest.fixture(scope="session")
def original() -> Weights:
    """What the GGUF file was made from, under Hugging Face's names."""
    return weights(len(TOKENS))


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "model.gguf")


@pytest.fixture
def make_gguf(tmp_path: Path) -> Callable[..., Path]:
    return lambda **changes: write_gguf(tmp_path / "other.gguf", **changes)
