"""The GGUF file's weights and settings come back as they were before they were converted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from slipway.demo.llama import LlamaFile
from slipway.errors import SlipwayError


def test_every_weight_is_the_original_one(gguf: Path, original: dict[str, NDArray[np.float32]]) -> None:
    found = {tensor.name: tensor for tensor in LlamaFile(gguf).tensors()}
    assert found.keys() == original.keys()
    for name, weight in original.items():
        assert found[name].shape == weight.shape
        np.testing.assert_array_equal(found[name].load(), weight)


def test_the_configuration_is_the_one_of_the_model(gguf: Path) -> None:
    config = LlamaFile(gguf).config()
    expected = {
        "model_type": "llama",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "rms_norm_eps": 1e-05,
        "rope_theta": 100000.0,
        "max_position_embeddings": 128,
        "vocab_size": 7,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
        "tie_word_embeddings": True,
    }
    assert expected.items() <= config.items()


def test_an_output_layer_of_its_own_unties_the_embeddings(make_gguf: Callable[..., Path]) -> None:
    model = LlamaFile(make_gguf(extra="output.weight"))
    assert model.config()["tie_word_embeddings"] is False
    assert "lm_head.weight" in {tensor.name for tensor in model.tensors()}


def test_a_tensor_that_a_llama_has_not_is_refused(make_gguf: Callable[..., Path]) -> None:
    model = LlamaFile(make_gguf(extra="blk.0.ffn_gate_inp.weight"))
    with pytest.raises(SlipwayError, match=r"unknown tensor blk\.0\.ffn_gate_inp\.weight"):
        list(model.tensors())


def test_another_architecture_is_refused(make_gguf: Callable[..., Path]) -> None:
    with pytest.raises(SlipwayError, match="not a Llama model"):
        LlamaFile(make_gguf(arch="qwen3"))


def test_a_missing_field_is_named(gguf: Path) -> None:
    with pytest.raises(SlipwayError, match=r"has no field llama\.nothing"):
        LlamaFile(gguf).field("llama.nothing")


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>" * 10])
def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "page.gguf").write_bytes(content)
    with pytest.raises(SlipwayError, match="not a GGUF file"):
        LlamaFile(tmp_path / "page.gguf")
