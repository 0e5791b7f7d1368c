"""Results out of a store and into it, by the command line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet
import pytest

from slipway.cli import main
from slipway.results import Validity
from slipway.results.cell import measure
from slipway.results.parquet import keep_requests
from slipway.results.plan import LoadPlan
from slipway.results.rows import Row
from slipway.spec import DeploymentSpec
from slipway.store import RunStart, State, Store, open_store, schema

MS = 1_000_000
PARTS = {
    "version": 1,
    "name": "demo",
    "hosts": [{"name": "head", "address": "10.0.0.1", "gpus": 2}],
    "environment": {"lock": "cpu"},
    "weights": {"source": "/models/small", "name": "small"},
    "serve": {"model_name": "small"},
    "benchmark": {"levels": [{"users": 2}]},
}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path / 'slipway.db'}"
    schema.upgrade(url)
    monkeypatch.setattr("slipway.cli.exchange.open_results", lambda: open_store(url))
    with open_store(url) as opened:
        yield opened


def _row(number: int) -> Row:
    at = 1_000_000 * MS + number * MS
    return Row(
        id=f"r{number}",
        user=number % 2,
        error="",
        detail="",
        status=200,
        scheduled_ns=at,
        sent_ns=at,
        first_event_ns=at + 100 * MS,
        first_token_ns=at + 100 * MS,
        first_content_ns=at + 100 * MS,
        last_token_ns=at + 160 * MS,
        ended_ns=at + 161 * MS,
        gaps_us=[20_000] * 3,
        gap_tokens=[],
        first_tokens=1,
        first_read_tokens=1,
        late_us=0,
        merged_tokens=0,
        counted_tokens=4,
        prompt_tokens=12,
        output_tokens=4,
        connect_us=0,
        asked_prompt_tokens=9,
        received_bytes=900,
    )


@pytest.fixture
def run(store: Store, tmp_path: Path) -> int:
    """A run with one cell, whose requests lie on this machine; the last of them ended after the window."""
    folder = tmp_path / "cell"
    folder.mkdir()
    rows = [_row(number) for number in range(10)] + [_row(900)]
    (folder / "rows-1.jsonl").write_text("".join(f"{row.to_json()}\n" for row in rows))
    (folder / "window.json").write_text(json.dumps({"start_ns": 1_000_000 * MS, "end_ns": 1_001_000 * MS}))
    plan = LoadPlan(base_url="http://h:1", model="m", users=2, seconds=1.0, folder=str(folder), output_tokens=4)
    measured = measure(folder, plan)
    keep_requests(folder)
    revision = store.save_revision(DeploymentSpec.model_validate(PARTS, strict=False))
    run_id = store.begin_run(RunStart("demo", "benchmark", "demo.benchmark", "r1", revision))
    store.record_cell(run_id, measured, str(folder))
    store.set_current(run_id, revision, "http://h:1")
    return run_id


def test_json_has_every_figure(run: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(run)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["deployment"], [cell["load"] for cell in said["cells"]]) == ("demo", ["2 users"])
    assert said["cells"][0]["ttft"]["p50"] == pytest.approx(0.1)


def test_csv_has_a_row_a_cell(run: int, tmp_path: Path) -> None:
    assert main(["export", str(run), "--format", "csv", "--output", str(tmp_path / "run.csv")]) == 0
    [row] = csv.DictReader(io.StringIO((tmp_path / "run.csv").read_text()))
    assert (row["load"], row["requests"], row["e2e.count"]) == ("2 users", "10", "10")


def test_parquet_has_a_row_a_request_of_the_window(run: int, tmp_path: Path) -> None:
    assert main(["export", str(run), "--format", "parquet", "--output", str(tmp_path / "out")]) == 0
    table = pyarrow.parquet.read_table(tmp_path / "out" / f"demo-run-{run}-2-users.parquet")
    assert table.column("id").to_pylist() == [f"r{number}" for number in range(10)]


def test_a_report_of_llm_d_has_its_fields_and_units(run: int, tmp_path: Path) -> None:
    """The fields are those of its schema 0.2, which was held against such a report when this was written."""
    assert main(["export", str(run), "--format", "llm-d", "--output", str(tmp_path / "out")]) == 0
    [path] = (tmp_path / "out").iterdir()
    said = json.loads(path.read_text())
    assert (said["version"], said["run"]["keywords"]) == ("0.2", ["demo", "invalid"])
    assert said["run"]["time"] == {
        "start": "1970-01-01T00:16:40+00:00",
        "end": "1970-01-01T00:16:41+00:00",
        "duration": "PT1.0S",
    }
    standard = said["scenario"]["load"]["standardized"]
    assert (standard["tool"], standard["concurrency"], "rate_qps" in standard) == ("slipway", 2, False)
    assert standard["input_seq_len"] == {"distribution": "fixed", "value": 32}
    [engine] = said["scenario"]["stack"]
    assert engine["standardized"]["accelerator"]["count"] == 2
    measured = said["results"]["request_performance"]["aggregate"]
    assert measured["requests"]["total"] == 10
    assert measured["requests"]["output_length"] == {"units": "count", "mean": 4.0}
    assert (measured["latency"]["time_to_first_token"]["units"], measured["latency"]["time_to_first_token"]["p50"]) == (
        "s",
        pytest.approx(0.1),
    )
    assert measured["latency"]["inter_token_latency"]["units"] == "s/token"
    assert measured["throughput"]["request_rate"] == {"units": "queries/s", "mean": 10.0}


def test_what_was_exported_can_be_imported(run: int, store: Store, tmp_path: Path) -> None:
    assert main(["export", str(run), "--format", "vllm-bench", "--output", str(tmp_path / "out")]) == 0
    [path] = (tmp_path / "out").iterdir()
    for _ in range(2):
        assert main(["import", str(path), "--deployment", "demo"]) == 0
    [imported] = [each for each in store.runs("demo") if each.job == "import"]
    assert (imported.state, imported.reason) == (State.SUCCESS, path.name)
    [cell] = store.cells(imported.id)
    assert (cell.measurement.users, cell.measurement.requests, cell.measurement.validity) == (2, 10, Validity.SUSPECT)
    assert store.history(imported.id, 2) == []


def test_results_of_the_same_load_are_refused(run: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["export", str(run), "--format", "vllm-bench", "--output", str(tmp_path / "out")])
    [path] = (tmp_path / "out").iterdir()
    assert main(["import", str(path), str(path), "--deployment", "demo"]) == 1
    assert "two results of the same load" in capsys.readouterr().err


def test_what_is_not_there_is_said(run: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "result.json").write_text("{")
    assert main(["import", str(tmp_path / "result.json"), "--deployment", "demo"]) == 1
    assert "result.json" in capsys.readouterr().err
    main(["export", str(run), "--format", "vllm-bench", "--output", str(tmp_path / "out")])
    [path] = (tmp_path / "out").iterdir()
    assert main(["import", str(path), "--deployment", "other"]) == 1
    assert "nothing is known of a deployment 'other'" in capsys.readouterr().err
    assert main(["export", "99"]) == 1


def test_without_its_files_a_cell_has_figures_only(
    run: int, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cell").rename(tmp_path / "gone")
    assert main(["export", str(run), "--format", "parquet"]) == 1
    assert "is not on this machine" in capsys.readouterr().err
    assert main(["export", str(run)]) == 0
