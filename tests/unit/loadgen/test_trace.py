"""Traces: which files are read, what of them is played, and the prompts that are made for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from slipway.errors import LoadTestFailed
from slipway.loadgen.plan import LoadPlan
from slipway.loadgen.trace import Entry, load_trace, played
from slipway.results.plan import Trace

MOONCAKE = [
    {"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47]},
    {"timestamp": 26482, "input_length": 6472, "output_length": 26, "hash_ids": [46, 2353]},
]
BURST = [{"Timestamp": 5, "Model": "ChatGPT", "Request tokens": 472, "Response tokens": 0, "Total tokens": 472}]
TEXT = [{"timestamp": 0.5, "text": "Why?", "output_length": 3}]


def _file(folder: Path, entries: list[Any]) -> str:
    path = folder / "trace.jsonl"
    path.write_text("".join(f"{json.dumps(entry)}\n" for entry in entries))
    return str(path)


def test_mooncakes_traces_by_their_time(tmp_path: Path) -> None:
    found = load_trace(Trace(file=_file(tmp_path, MOONCAKE), speed=2.0))
    assert found == [Entry(0.0, 6472, 26), Entry(0.5, 6955, 52)]


def test_burstgpts_words_and_texts_of_their_own(tmp_path: Path) -> None:
    assert load_trace(Trace(file=_file(tmp_path, BURST), unit="s")) == [Entry(0.0, 472, 1)]
    assert load_trace(Trace(file=_file(tmp_path, TEXT), unit="s")) == [Entry(0.0, 0, 3, "Why?")]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"input_length": 1, "output_length": 1}, "line 1: KeyError"),
        ({"timestamp": 1, "output_length": 1}, "line 1: TypeError"),
        ({"timestamp": 1, "input_length": 0, "output_length": 1}, "line 1: a prompt of 0 tokens"),
        (7, "line 1: AttributeError"),
    ],
)
def test_a_line_that_is_wrong_is_named(tmp_path: Path, entry: Any, said: str) -> None:
    with pytest.raises(LoadTestFailed, match=said):
        load_trace(Trace(file=_file(tmp_path, [entry])))


def test_no_file_and_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(LoadTestFailed, match="cannot read the trace"):
        load_trace(Trace(file=str(tmp_path / "none.jsonl")))
    with pytest.raises(LoadTestFailed, match="holds no request"):
        load_trace(Trace(file=_file(tmp_path, [])))


def _plan(**changes: Any) -> LoadPlan:
    usual: dict[str, Any] = {"base_url": "http://h:1", "model": "m", "folder": "/f", "seconds": 10.0, "warmup_s": 2.0}
    return LoadPlan(trace=Trace(file="t"), **(usual | changes))


def test_only_what_is_due_in_the_cell_is_played() -> None:
    entries = [Entry(at, 1, 1) for at in (0.0, 3.0, 12.0, 12.5)]
    assert played(entries, _plan()) == entries[:3]
    with pytest.raises(LoadTestFailed, match="lasts 1 s, and nothing of it is due after a warm-up of 2 s"):
        played([Entry(0.0, 1, 1), Entry(1.0, 1, 1)], _plan())
    with pytest.raises(LoadTestFailed, match="tokens, more than"):
        played([Entry(0.0, 1, 1), Entry(3.0, 1 << 25, 1)], _plan())
