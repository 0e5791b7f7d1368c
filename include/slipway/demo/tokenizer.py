"""The tokenizer inside a GGUF file, as Hugging Face's ``tokenizer.json`` and ``tokenizer_config.json``."""

from __future__ import annotations

from typing import Any

from slipway.demo.llama import LlamaFile
from slipway.errors import SlipwayError

CONTROL = 3
"""GGUF's token type of special tokens."""


def tokenizer_files(model: LlamaFile) -> dict[str, dict[str, Any]]:
    """Content of the tokenizer's files, by file name.

    Byte-level BPE after single digits were split off, which GGUF calls ``smollm``. Raises SlipwayError for others.
    """
    kind = (model.field("tokenizer.ggml.model"), model.field("tokenizer.ggml.pre"))
    if kind != ("gpt2", "smollm"):
        raise SlipwayError(f"{model.path}: unknown tokenizer {kind}", hint="only SmolLM2's tokenizer can be converted")
    tokens: list[str] = model.field("tokenizer.ggml.tokens")
    kinds: list[int] = model.field("tokenizer.ggml.token_type")
    added = {number: _special(tokens[number]) for number, kind in enumerate(kinds) if kind == CONTROL}
    return {
        "tokenizer.json": _tokenizer(tokens, model.field("tokenizer.ggml.merges"), added),
        "tokenizer_config.json": _tokenizer_config(model, tokens, added),
    }


def _special(text: str) -> dict[str, Any]:
    return {
        "content": text,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }


def _tokenizer(tokens: list[str], merges: list[str], added: dict[int, dict[str, Any]]) -> dict[str, Any]:
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    digits = {"type": "Digits", "individual_digits": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": number, **token} for number, token in added.items()],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [digits, byte_level]},
        "post_processor": None,
        "decoder": {**byte_level, "add_prefix_space": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: number for number, token in enumerate(tokens)},
            "merges": [merge.split(" ") for merge in merges],
        },
    }


def _tokenizer_config(model: LlamaFile, tokens: list[str], added: dict[int, dict[str, Any]]) -> dict[str, Any]:
    def token(role: str) -> str:
        return tokens[int(model.field(f"tokenizer.ggml.{role}_token_id"))]

    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_prefix_space": False,
        "added_tokens_decoder": {str(number): token for number, token in added.items()},
        "bos_token": token("bos"),
        "eos_token": token("eos"),
        "pad_token": token("padding"),
        "unk_token": token("unknown"),
        "clean_up_tokenization_spaces": False,
        "model_max_length": model.field("llama.context_length"),
        "chat_template": model.field("tokenizer.chat_template"),
    }
