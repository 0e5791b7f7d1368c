"""All requests of a cell in one Parquet file, a row each: the artifact that stays beside the cell.

pyarrow is loaded when a file is written or read, never by the processes that make the load.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.errors import LoadTestFailed
from slipway.results.rows import NAMES, ROWS_FILES, Row, load_rows

if TYPE_CHECKING:
    import pyarrow

REQUESTS_FILE = "requests.parquet"
"""Its name in the folder of its cell."""

ROWS_AT_ONCE = 8192
TEXTS = ("id", "error", "detail")
LISTS = ("gaps_us", "gap_tokens")


def keep_requests(folder: Path) -> None:
    """Turn the rows that the load processes left into one Parquet file. Does nothing where that was done."""
    written, whole = sorted(folder.glob(ROWS_FILES)), folder / REQUESTS_FILE
    if written and not whole.exists():
        save_requests(whole, load_rows(folder))
    for path in written:
        path.unlink()


def load_cell_requests(folder: Path) -> Iterator[Row]:
    """Every request of a cell, from whichever files hold them. Raises LoadTestFailed."""
    whole = folder / REQUESTS_FILE
    return load_requests(whole) if whole.exists() else load_rows(folder)


def save_requests(path: Path, rows: Iterable[Row]) -> None:
    """Write the file whole, or not at all."""
    import pyarrow
    import pyarrow.parquet

    schema, left, unfinished = _schema(), iter(rows), path.with_suffix(".unfinished")
    with pyarrow.parquet.ParquetWriter(unfinished, schema, compression="zstd") as writer:
        while batch := list(islice(left, ROWS_AT_ONCE)):
            columns = {name: [getattr(row, name) for row in batch] for name in NAMES}
            writer.write_batch(pyarrow.RecordBatch.from_pydict(columns, schema=schema))
    unfinished.replace(path)


def load_requests(path: Path) -> Iterator[Row]:
    """The rows of one file. Raises LoadTestFailed where it is not such a file."""
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            names = [name for name in NAMES if name in file.schema_arrow.names]
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=names):
                yield from (Row(**row) for row in batch.to_pylist())
    except (OSError, pyarrow.ArrowException, TypeError) as error:
        message = f"cannot read the requests {path}: {error}"
        raise LoadTestFailed(message, hint="it is written when a cell is measured; measure the level again") from error


def _schema() -> pyarrow.Schema:
    import pyarrow

    number = pyarrow.int64()
    kinds = dict.fromkeys(TEXTS, pyarrow.string()) | dict.fromkeys(LISTS, pyarrow.list_(number))
    return pyarrow.schema([pyarrow.field(name, kinds.get(name, number), nullable=False) for name in NAMES])
