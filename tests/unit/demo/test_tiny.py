"""A tiny random model whose heads can be shared by two."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slipway.demo import model, tiny
from slipway.remote.weights.checkpoint import problems_of
from slipway.remote.weights.listing import list_folder


@pytest.fixture
def smollm(gguf: Path, tmp_path: Path) -> Path:
    model.make_model(gguf, tmp_path / "smollm")
    return tmp_path / "smollm"


def test_the_folder_is_a_whole_model_with_the_same_tokenizer(smollm: Path, tmp_path: Path) -> None:
    assert tiny.make_tiny(smollm, tmp_path / "tiny") is True
    assert problems_of(list_folder(tmp_path / "tiny")) == []
    for name in tiny.TOKENIZER:
        assert (tmp_path / "tiny" / name).read_bytes() == (smollm / name).read_bytes()
    config = json.loads((tmp_path / "tiny" / "config.json").read_text())
    assert config["vocab_size"] == 7
    assert config["num_attention_heads"] % 2 == config["num_key_value_heads"] % 2 == 0


def test_the_weights_are_the_same_each_time(smollm: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        tiny.make_tiny(smollm, tmp_path / name)
    shards = [path.name for path in (tmp_path / "one").glob("*.safetensors")]
    assert shards
    for shard in shards:
        assert (tmp_path / "one" / shard).read_bytes() == (tmp_path / "two" / shard).read_bytes()


def test_the_second_run_says_that_it_did_nothing(
    smollm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["--tokenizer", str(smollm), "--out", str(tmp_path / "tiny")]
    assert tiny.main(call) == 0
    assert tiny.main(call) == 0
    assert capsys.readouterr().out.splitlines() == [f"{tmp_path / 'tiny'}: made", f"{tmp_path / 'tiny'}: already there"]


def test_without_the_tokenizer_it_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tiny.main(["--tokenizer", str(tmp_path), "--out", str(tmp_path / "tiny")]) == 1
    assert "next: make the demo's model first" in capsys.readouterr().err
