"""A journal survives what a crash or a bad disk does to it, and never says more than was written."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.remote.weights import journal as journals
from slipway.remote.weights.chunks import split
from slipway.remote.weights.journal import Journal, parse_journal

TITLE = "slipway-journal 1 abc 4"
CHUNKS = split([("file", 800)], 4)


def line(number: int, digest: str) -> str:
    body = f"{number} {digest}"
    return f"{body} {zlib.crc32(body.encode()):08x}"


def test_what_was_added_is_found_again_also_after_a_kill(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(800))
    killed = Journal(tmp_path / "journal", TITLE, tmp_path)
    killed.add(CHUNKS[5], "five")
    killed.add(CHUNKS[7], "seven")
    again = Journal(tmp_path / "journal", TITLE, tmp_path)
    assert again.digests == {5: "five", 7: "seven"}
    for journal in (killed, again):
        journal.close()


def test_every_stretch_is_brought_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settled: list[Path] = []
    monkeypatch.setattr(journals, "STRETCH_BYTES", 12)
    monkeypatch.setattr(journals, "settle", settled.append)
    journal = Journal(tmp_path / "journal", TITLE, tmp_path)
    after = []
    for chunk in CHUNKS[:7]:
        journal.add(chunk, "digest")
        after.append(len(settled))
    journal.close()
    assert after == [0, 0, 1, 1, 1, 2, 2]
    assert set(settled) == {tmp_path / "file"}


def test_a_later_line_replaces_an_earlier_one() -> None:
    assert parse_journal([TITLE, line(1, "old"), line(1, "new")], TITLE) == {1: "new"}


@given(st.data())
def test_one_changed_letter_loses_one_chunk_at_most(data: st.DataObject) -> None:
    lines = [line(number, f"{number:064x}") for number in range(5)]
    row = data.draw(st.integers(0, 4))
    place = data.draw(st.integers(0, len(lines[row]) - 1))
    letter = data.draw(st.characters(codec="ascii").filter(lambda letter: letter != lines[row][place]))
    damaged = [*lines[:row], lines[row][:place] + letter + lines[row][place + 1 :], *lines[row + 1 :]]
    expected = {number: f"{number:064x}" for number in range(5) if number != row}
    assert parse_journal([TITLE, *damaged], TITLE) == expected
