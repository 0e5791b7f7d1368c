"""A journal survives what a crash or a bad disk does to it, and never says more than was written."""

from __future__ import annotations

import zlib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from slipway.remote.weights.chunks import split
from slipway.remote.weights.journal import Journal, parse_journal

TITLE = "slipway-journal 1 abc 4"
CHUNKS = split([("file", 800)], 4)


def line(number: int, digest: str) -> str:
    body = f"{number} {digest}"
    return f"{body} {zlib.crc32(body.encode()):08x}"


def test_what_was_flushed_is_found_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(800))
    journal = Journal(tmp_path / "journal", TITLE, tmp_path, 800)
    journal.add(CHUNKS[5], "five")
    journal.add(CHUNKS[7], "seven")
    journal.flush()
    journal.close()
    again = Journal(tmp_path / "journal", TITLE, tmp_path, 800)
    again.close()
    assert again.digests == {5: "five", 7: "seven"}


def test_half_a_percent_is_written_down_without_being_asked(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(8000))
    journal = Journal(tmp_path / "journal", TITLE, tmp_path, 8000)
    written = []
    for chunk in split([("file", 8000)], 4)[:20]:
        journal.add(chunk, "digest")
        written.append((tmp_path / "journal").read_text().count("\n") - 1)
    journal.close()
    assert written == [0] * 9 + [10] * 10 + [20]


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
