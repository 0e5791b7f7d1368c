"""The tokenizer's files say what the GGUF file says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from slipway.demo.llama import LlamaFile
from slipway.demo.tokenizer import tokenizer_files
from slipway.errors import SlipwayError


def test_vocabulary_and_merges_are_carried_over(gguf: Path) -> None:
    tokenizer = tokenizer_files(LlamaFile(gguf))["tokenizer.json"]
    assert tokenizer["model"]["vocab"]["ab"] == 6
    assert tokenizer["model"]["merges"] == [["a", "b"]]
    assert [(token["id"], token["content"]) for token in tokenizer["added_tokens"]] == [
        (0, "<|endoftext|>"),
        (1, "<|im_start|>"),
        (2, "<|im_end|>"),
    ]


def test_digits_are_split_off_one_by_one_before_the_bytes(gguf: Path) -> None:
    steps = tokenizer_files(LlamaFile(gguf))["tokenizer.json"]["pre_tokenizer"]["pretokenizers"]
    assert [step["type"] for step in steps] == ["Digits", "ByteLevel"]
    assert steps[0]["individual_digits"] is True
    assert steps[1]["add_prefix_space"] is False


def test_special_tokens_and_the_chat_template_are_named(gguf: Path) -> None:
    config = tokenizer_files(LlamaFile(gguf))["tokenizer_config.json"]
    assert {key: config[f"{key}_token"] for key in ("bos", "eos", "pad", "unk")} == {
        "bos": "<|im_start|>",
        "eos": "<|im_end|>",
        "pad": "<|im_end|>",
        "unk": "<|endoftext|>",
    }
    assert config["chat_template"] == "{{ messages }}"
    assert sorted(config["added_tokens_decoder"]) == ["0", "1", "2"]


def test_another_tokenizer_is_refused(make_gguf: Callable[..., Path]) -> None:
    with pytest.raises(SlipwayError, match=r"unknown tokenizer \('gpt2', 'llama-bpe'\)"):
        tokenizer_files(LlamaFile(make_gguf(pre="llama-bpe")))
