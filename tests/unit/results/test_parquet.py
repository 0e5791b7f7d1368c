from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet
import pytest

from slipway.errors import LoadTestFailed
from slipway.results import parquet
from slipway.results.parquet import REQUESTS_FILE, keep_requests, load_cell_requests, load_requests, save_requests
from slipway.results.rows import NAMES, Row

Make = Callable[..., Row]


def _lines(folder: Path, name: str, *rows: Row) -> None:
    (folder / name).write_text("".join(f"{row.to_json()}\n" for row in rows))


def test_rows_come_back_whole_and_in_order(tmp_path: Path, row: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "ROWS_AT_ONCE", 2)
    rows = [row(id=f"r{each}", sent_ns=1_795_473_483_634_863_517 + each, detail="é\n") for each in range(5)]
    rows.append(row(gaps_us=[], gap_tokens=[1, 7], error="timeout", last_token_ns=0))
    save_requests(tmp_path / REQUESTS_FILE, rows)
    assert list(load_requests(tmp_path / REQUESTS_FILE)) == rows


def test_others_can_read_it(tmp_path: Path, row: Make) -> None:
    save_requests(tmp_path / REQUESTS_FILE, [row()])
    table = pyarrow.parquet.read_table(tmp_path / REQUESTS_FILE)
    assert table.column_names == list(NAMES)
    assert table.column("sent_ns").to_pylist() == [1_000_000_000]


def test_the_files_of_all_processes_become_one(tmp_path: Path, row: Make) -> None:
    _lines(tmp_path, "rows-1.jsonl", row(id="a"), row(id="b"))
    _lines(tmp_path, "rows-2.jsonl", row(id="c"))
    before = list(load_cell_requests(tmp_path))
    for _ in range(2):
        keep_requests(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [REQUESTS_FILE]
        assert list(load_cell_requests(tmp_path)) == before


def test_lines_that_were_left_beside_the_whole_file_are_not_read_twice(tmp_path: Path, row: Make) -> None:
    _lines(tmp_path, "rows-1.jsonl", row(id="a"))
    save_requests(tmp_path / REQUESTS_FILE, [row(id="a"), row(id="b")])
    keep_requests(tmp_path)
    assert [each.id for each in load_cell_requests(tmp_path)] == ["a", "b"]


def test_a_broken_line_leaves_everything_as_it_was(tmp_path: Path, row: Make) -> None:
    _lines(tmp_path, "rows-1.jsonl", row())
    (tmp_path / "rows-2.jsonl").write_text("{")
    with pytest.raises(LoadTestFailed, match=r"rows-2\.jsonl, line 1"):
        keep_requests(tmp_path)
    assert not (tmp_path / REQUESTS_FILE).exists()
    assert (tmp_path / "rows-1.jsonl").exists()


def test_what_is_no_such_file_is_named(tmp_path: Path) -> None:
    (tmp_path / REQUESTS_FILE).write_text("?")
    with pytest.raises(LoadTestFailed, match=r"requests\.parquet"):
        list(load_cell_requests(tmp_path))


def test_a_file_that_lacks_a_column_is_named(tmp_path: Path, row: Make) -> None:
    """One of an earlier version lacks the last ones alone."""
    save_requests(tmp_path / REQUESTS_FILE, [row(id="a")])
    whole = pyarrow.parquet.read_table(tmp_path / REQUESTS_FILE)
    pyarrow.parquet.write_table(whole.drop_columns(["asked_output_tokens", "host"]), tmp_path / REQUESTS_FILE)
    assert [(each.id, each.asked_output_tokens) for each in load_cell_requests(tmp_path)] == [("a", 0)]
    pyarrow.parquet.write_table(whole.drop_columns("user"), tmp_path / REQUESTS_FILE)
    with pytest.raises(LoadTestFailed, match=r"requests\.parquet: without user"):
        list(load_cell_requests(tmp_path))
