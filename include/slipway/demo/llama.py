"""What a GGUF file of a Llama model says, as a Hugging Face configuration and tensors."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader, ReaderTensor
from gguf.quants import dequantize
from numpy.typing import NDArray

from slipway.demo.checkpoint import Tensor
from slipway.errors import SlipwayError

OUTER = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


class LlamaFile:
    """One GGUF file, opened: its fields by name and its tensors, dequantized when they are asked for."""

    def __init__(self, path: Path) -> None:
        try:
            self._reader = GGUFReader(path)
        except (OSError, ValueError) as error:
            raise SlipwayError(f"{path}: not a GGUF file: {error}", hint="give the .gguf file of the model") from error
        self.path = path
        if self.field("general.architecture") != "llama":
            raise SlipwayError(f"{path}: not a Llama model", hint="only Llama models can be converted")

    def field(self, name: str) -> Any:
        """One field's value. Raises SlipwayError if the file lacks it."""
        found = self._reader.get_field(name)
        if found is None:
            raise SlipwayError(f"{self.path}: has no field {name}", hint="the file is incomplete, or of another kind")
        return found.contents()

    def config(self) -> dict[str, Any]:
        """Content of ``config.json``."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "attention_bias": False,
            "attention_dropout": 0.0,
            "bos_token_id": self.field("tokenizer.ggml.bos_token_id"),
            "eos_token_id": self.field("tokenizer.ggml.eos_token_id"),
            "pad_token_id": self.field("tokenizer.ggml.padding_token_id"),
            "head_dim": self.field("llama.rope.dimension_count"),
            "hidden_act": "silu",
            "hidden_size": self.field("llama.embedding_length"),
            "intermediate_size": self.field("llama.feed_forward_length"),
            "max_position_embeddings": self.field("llama.context_length"),
            "mlp_bias": False,
            "num_attention_heads": self.field("llama.attention.head_count"),
            "num_hidden_layers": self.field("llama.block_count"),
            "num_key_value_heads": self.field("llama.attention.head_count_kv"),
            "rms_norm_eps": _shortest(self.field("llama.attention.layer_norm_rms_epsilon")),
            "rope_theta": _shortest(self.field("llama.rope.freq_base")),
            "tie_word_embeddings": all(tensor.name != "output.weight" for tensor in self._reader.tensors),
            "torch_dtype": "bfloat16",
            "use_cache": True,
            "vocab_size": self.field("llama.vocab_size"),
        }

    def tensors(self) -> Iterator[Tensor]:
        """The weights under Hugging Face's names, in the file's order."""
        for tensor in self._reader.tensors:
            shape = tuple(int(size) for size in reversed(tensor.shape))
            yield Tensor(_name(tensor.name), shape, partial(self._values, tensor))

    def _values(self, tensor: ReaderTensor) -> NDArray[np.float32]:
        values: NDArray[np.float32] = dequantize(tensor.data, tensor.tensor_type)
        if ".attn_q." in tensor.name:
            return _halves(values, self.field("llama.attention.head_count"))
        if ".attn_k." in tensor.name:
            return _halves(values, self.field("llama.attention.head_count_kv"))
        return values


def _name(name: str) -> str:
    if name in OUTER:
        return OUTER[name]
    match name.split("."):
        case ["blk", layer, part, "weight"] if part in LAYER:
            return f"model.layers.{layer}.{LAYER[part]}.weight"
    raise SlipwayError(f"unknown tensor {name}", hint="only plain Llama models can be converted")


def _halves(weight: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Rows of each head from llama.cpp's rotary order (pairs side by side) back to Hugging Face's (two halves)."""
    pairs = weight.reshape(heads, -1, 2, weight.shape[1])
    return pairs.swapaxes(1, 2).reshape(weight.shape)


def _shortest(value: float) -> float:
    """The number that was meant by a float32 field: 1e-05 rather than 9.999999747378752e-06."""
    return float(f"{value:.6g}")
