"""Results out of the database for other programs, and those of other programs into it."""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from slipway import __version__
from slipway.cli.results import open_results
from slipway.errors import LoadTestFailed, SpecError
from slipway.results import Measurement, llmd
from slipway.results.cell import load_window
from slipway.results.foreign import imported
from slipway.results.parquet import load_cell_requests, save_requests
from slipway.results.plain import data, flat
from slipway.results.rows import CUT, Row
from slipway.results.vllm_bench import exported
from slipway.spec import DeploymentSpec
from slipway.store import Cell, RunStart, State, Store

IMPORT = "import"
"""The job of a run that was imported."""


def export(arguments: argparse.Namespace) -> int:
    """Write the cells of a run for other programs: their figures, or every request of theirs.

    json and csv go to standard output, or to the file --output. parquet (a row a request), vllm-bench (as `vllm bench
    serve --save-detailed` writes it) and llm-d (its benchmark report, version 0.2) give a file a cell, in this folder
    or the folder --output.
    """
    with open_results() as store:
        run = store.run_by_id(arguments.run_id)
        cells = store.cells(run.id)
        if not cells or not run.revision_id:
            raise SpecError(f"run {run.id} has no cells", hint="slipway results lists the runs that measured something")
        spec = store.spec(run.revision_id)
    WRITERS[arguments.format](cells, spec, arguments.output)
    return 0


def import_results(arguments: argparse.Namespace) -> int:
    """Put results of `vllm bench serve`, guidellm and aiperf beside a deployment's own, as a run of their own.

    A file of guidellm has a cell for each of its benchmarks. Cells are marked as suspect, so that no verdict compares
    with figures that are defined otherwise.
    """
    found = [(cell, path) for path in arguments.files for cell in _read_result(path)]
    cells = [cell for cell, _ in found]
    loads = [cell.load for cell in cells]
    if len(set(loads)) != len(loads):
        raise SpecError(f"two results of the same load: {', '.join(loads)}", hint="import them one by one")
    with open_results() as store:
        run_id = _begin(store, arguments.deployment, arguments.files)
        for cell, path in found:
            store.record_cell(run_id, cell, str(path.resolve()))
        store.finish_run(run_id, State.SUCCESS)
    sys.stdout.write(f"run {run_id} of {arguments.deployment}: {', '.join(loads)}\n")
    return 0


def _begin(store: Store, deployment: str, files: Sequence[Path]) -> int:
    """The run's row. The same files are the same run."""
    current = store.current(deployment)
    revision_id = current.revision_id if current else store.latest_revisions().get(deployment)
    if revision_id is None:
        raise SpecError(f"nothing is known of a deployment {deployment!r}", hint="deploy it once first")
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]
    start = RunStart(
        deployment=deployment,
        job=IMPORT,
        dag_id=f"{deployment}.{IMPORT}",
        dag_run_id=digest,
        revision_id=revision_id,
        rehearsal=store.spec(revision_id).rehearsal,
        reason=", ".join(path.name for path in files),
    )
    return store.begin_run(start)


def _read_result(path: Path) -> list[Measurement]:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SpecError(f"{path}: {error}", hint="give a JSON file that one of these tools wrote") from error
    try:
        return imported(read)
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from error


def _requests(cell: Cell) -> list[Row]:
    """The requests of a cell that ended inside its window. Raises LoadTestFailed where its files are gone."""
    folder = Path(cell.artifacts)
    if not folder.is_dir():
        raise LoadTestFailed(f"{folder} is not on this machine", hint="json and csv need the database alone")
    window = load_window(folder)
    return [row for row in load_cell_requests(folder) if window.holds(row.ended_ns) and row.error != CUT]


def _write_json(cells: Sequence[Cell], spec: DeploymentSpec, output: Path | None) -> None:
    run = {"deployment": spec.name, "rehearsal": spec.rehearsal, "cells": [data(cell.measurement) for cell in cells]}
    _write_text(f"{json.dumps(run, indent=1)}\n", output)


def _write_csv(cells: Sequence[Cell], spec: DeploymentSpec, output: Path | None) -> None:
    beside = {"deployment": spec.name, "rehearsal": spec.rehearsal}
    rows = [{**beside, "run": cell.run_id, **flat(cell.measurement)} for cell in cells]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    _write_text(text.getvalue(), output)


def _write_parquet(cells: Sequence[Cell], spec: DeploymentSpec, output: Path | None) -> None:
    folder = _folder(output)
    for cell in cells:
        _say_written(path := folder / f"{_file_name(spec, cell)}.parquet")
        save_requests(path, _requests(cell))


def _write_vllm_bench(cells: Sequence[Cell], spec: DeploymentSpec, output: Path | None) -> None:
    folder = _folder(output)
    for cell in cells:
        asked = (spec.serve.model_name, spec.benchmark.endpoint)
        result = exported(cell.measurement, _requests(cell), *asked)
        _say_written(path := folder / f"{_file_name(spec, cell)}.json")
        path.write_text(json.dumps(result), encoding="utf-8")


def _write_llmd(cells: Sequence[Cell], spec: DeploymentSpec, output: Path | None) -> None:
    folder, asked = _folder(output), spec.benchmark.model_dump(mode="json")
    for cell in cells:
        engine = llmd.engine(
            spec.serve.model_name,
            cell.revision_id,
            accelerator="CPU" if spec.rehearsal else "unknown",
            gpus=spec.gpus,
            parallel=(spec.serve.tensor_parallel, spec.serve.pipeline_parallel),
            native={"args": dict(spec.serve.args)},
        )
        report = llmd.report(
            cell.measurement,
            uid=f"{spec.name}-{cell.run_id}-{cell.id}",
            revision=cell.revision_id,
            keywords=[spec.name, *(["rehearsal"] if spec.rehearsal else [])],
            scenario={"stack": [engine], "load": llmd.load(cell.measurement, asked, __version__)},
        )
        _say_written(path := folder / f"{_file_name(spec, cell)}.json")
        path.write_text(json.dumps(report, indent=1), encoding="utf-8")


def _write_text(text: str, output: Path | None) -> None:
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, encoding="utf-8")


def _folder(output: Path | None) -> Path:
    folder = output or Path.cwd()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _file_name(spec: DeploymentSpec, cell: Cell) -> str:
    load = cell.measurement.load.replace(" ", "-").replace("/", "-per-").replace(",", "")
    return f"{spec.name}-run-{cell.run_id}-{load}"


def _say_written(path: Path) -> None:
    sys.stdout.write(f"{path}\n")


WRITERS = {
    "json": _write_json,
    "csv": _write_csv,
    "parquet": _write_parquet,
    "vllm-bench": _write_vllm_bench,
    "llm-d": _write_llmd,
}
"""By format: what writes cells so."""
