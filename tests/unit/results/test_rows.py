from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from slipway.errors import LoadTestFailed
from slipway.results.rows import Row, load_rows, parse_row


def test_a_row_comes_back_from_its_line_with_every_nanosecond(row: Callable[..., Row]) -> None:
    one = row(sent_ns=1_795_473_483_634_863_517, detail='a "b"\n\u2028c', gap_tokens=[1, 2, 1])
    line = one.to_json()
    assert "\n" not in line
    assert parse_row(line) == one


@pytest.mark.parametrize("line", ["", "{}", "[]", '{"id":"x"}', '{"id":'])
def test_what_is_no_row_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"not a row|Expecting"):
        parse_row(line)


def test_rows_of_all_processes_are_read(tmp_path: Path, row: Callable[..., Row]) -> None:
    (tmp_path / "rows-1.jsonl").write_text(f"{row(id='a').to_json()}\n{row(id='b').to_json()}\n")
    (tmp_path / "rows-2.jsonl").write_text(f"{row(id='c').to_json()}\n")
    (tmp_path / "other.jsonl").write_text("?")
    assert [each.id for each in load_rows(tmp_path)] == ["a", "b", "c"]


def test_a_line_that_was_not_written_to_its_end_is_named(tmp_path: Path, row: Callable[..., Row]) -> None:
    (tmp_path / "rows-1.jsonl").write_text(f"{row().to_json()}\n{row().to_json()[:50]}")
    with pytest.raises(LoadTestFailed, match=r"rows-1\.jsonl, line 2"):
        list(load_rows(tmp_path))
