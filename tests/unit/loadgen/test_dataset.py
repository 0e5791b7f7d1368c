from __future__ import annotations

import json
from pathlib import Path

import pytest

from slipway.errors import LoadTestFailed
from slipway.loadgen.dataset import load_dataset

SHAREGPT = {"id": "x", "conversations": [{"from": "gpt", "value": "Hi."}, {"from": "human", "value": "Why?"}]}
CHAT = {"messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "How?"}]}


def _file(folder: Path, text: str) -> Path:
    path = folder / "data.jsonl"
    path.write_text(text)
    return path


def test_each_kind_of_entry_gives_what_the_user_says_first(tmp_path: Path) -> None:
    lines = [SHAREGPT, CHAT, {"prompt": "When?"}, {"prompt": "Why?"}, {"messages": []}]
    path = _file(tmp_path, "\n\n".join(json.dumps(line) for line in lines))
    assert load_dataset(path) == ["Why?", "How?", "When?"]


def test_sharegpts_own_file_is_one_list(tmp_path: Path) -> None:
    assert load_dataset(_file(tmp_path, json.dumps([SHAREGPT, CHAT], indent=1))) == ["Why?", "How?"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"prompt": "a"}\n{"prompt"', "line 2: not JSON"),
        ('{"prompt": "a"}\n{"text": "b"}', "entry 2: KeyError"),
        ("7", "entry 1: TypeError"),
        ('{"conversations": [{"from": "human"}]}', "entry 1: KeyError"),
        ("", "holds no prompt"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(LoadTestFailed, match=words):
        load_dataset(_file(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LoadTestFailed, match="cannot read the data set"):
        load_dataset(tmp_path / "none.jsonl")
