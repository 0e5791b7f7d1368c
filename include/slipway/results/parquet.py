"""All requests of a cell in one Parquet file, a row each: the artifact that stays beside the cell.

pyarrow is loaded when a file is written or read, never by the processes that make the load.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.errors import LoadTestFailed
from slipway.results.rows import ALL_NAMES, NAMES, ROWS_FILES, Row, load_rows

if TYPE_CHECKING:
    import pyarrow

REQUESTS_FILE = "requests.parquet"
"""Its name in the folder of its cell."""

ROWS_AT_ONCE = 8192
TEXTS = ("id", "error", "detail", "host")
LISTS = ("gaps_us", "gap_tokens")


def keep_requests(folder: Path) -> None:
    """Turn the rows that the load processes left into one Parquet file. Does nothing where that was done."""
    written, whole = sorted(folder.glob(ROWS_FILES)), folder / REQUESTS_FILE
    if written and not whole.exists():
        _save(whole, _batches_of(written))
    for path in written:
        path.unlink()


def load_cell_requests(folder: Path) -> Iterator[Row]:
    """Every request of a cell, from whichever files hold them. Raises LoadTestFailed."""
    whole = folder / REQUESTS_FILE
    return load_requests(whole) if whole.exists() else load_rows(folder)


def save_requests(path: Path, rows: Iterable[Row]) -> None:
    """Write the file whole, or not at all."""
    _save(path, _batches(rows))


def _save(path: Path, batches: Iterable[pyarrow.RecordBatch]) -> None:
    import pyarrow.parquet

    unfinished = path.with_suffix(".unfinished")
    with pyarrow.parquet.ParquetWriter(unfinished, _schema(), compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)
    unfinished.replace(path)


def _batches(rows: Iterable[Row]) -> Iterator[pyarrow.RecordBatch]:
    import pyarrow

    left = iter(rows)
    while batch := list(islice(left, ROWS_AT_ONCE)):
        columns = {name: [getattr(row, name) for row in batch] for name in NAMES}
        yield pyarrow.RecordBatch.from_pydict(columns, schema=_schema())


def _batches_of(files: Iterable[Path]) -> Iterator[pyarrow.RecordBatch]:
    """The rows of the load processes' files as they are, without a Python object for each. Raises LoadTestFailed."""
    import pyarrow
    import pyarrow.json

    parse = pyarrow.json.ParseOptions(explicit_schema=_schema(), unexpected_field_behavior="error")
    read = pyarrow.json.ReadOptions(use_threads=False)
    for path in files:
        try:
            for batch in pyarrow.json.open_json(path, read, parse):
                yield pyarrow.RecordBatch.from_arrays([batch.column(name) for name in NAMES], schema=_schema())
        except pyarrow.ArrowException as error:
            for _ in load_rows(path.parent):
                pass  # names the line that is broken
            raise LoadTestFailed(f"{path}: {error}", hint="its load process was killed while it wrote") from error


def load_requests(path: Path) -> Iterator[Row]:
    """The rows of one file. Raises LoadTestFailed where it is not such a file."""
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            names = [name for name in NAMES if name in file.schema_arrow.names]
            if names != list(NAMES[: len(names)]):
                raise TypeError(f"without {', '.join(ALL_NAMES.difference(names))}")
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=names):
                yield from map(Row, *(batch.column(name).to_pylist() for name in names))
    except (OSError, pyarrow.ArrowException, TypeError) as error:
        message = f"cannot read the requests {path}: {error}"
        raise LoadTestFailed(message, hint="it is written when a cell is measured; measure the level again") from error


def _schema() -> pyarrow.Schema:
    import pyarrow

    number = pyarrow.int64()
    kinds = dict.fromkeys(TEXTS, pyarrow.string()) | dict.fromkeys(LISTS, pyarrow.list_(number))
    return pyarrow.schema([pyarrow.field(name, kinds.get(name, number), nullable=False) for name in NAMES])
