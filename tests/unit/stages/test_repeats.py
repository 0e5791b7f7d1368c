"""A level that is measured several times: which one stands for all, and whose files are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from slipway.results import Measurement
from slipway.results.plan import LoadPlan
from slipway.spec import DeploymentSpec, Level
from slipway.stages import benchmark
from slipway.stages.benchmark import LoadHost
from slipway.stages.site import Site


def _measurement(rate: float) -> Measurement:
    return Measurement(
        users=1,
        spawn_rate=1.0,
        processes=1,
        started_at=0.0,
        window_s=1.0,
        requests=1,
        prompt_tokens=1,
        output_tokens=1,
        requests_per_s=1.0,
        output_tokens_per_s=rate,
        errors={},
        ttft=None,
        itl=None,
        tpot=None,
        e2e=None,
    )


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders that were measured into; each time the server does better, but for the last."""
    folders: list[str] = []
    rates = iter((10.0, 20.0, 15.0))

    def measure_load(load: LoadHost, plan: LoadPlan, *_: Any, **__: Any) -> Measurement:
        assert plan.folder == str(load.folder)
        folders.append(load.folder.name)
        (load.folder / "window.json").write_text(load.folder.name)
        return _measurement(next(rates))

    monkeypatch.setattr(benchmark, "measure_load", measure_load)
    return folders


def _converge(spec: DeploymentSpec, folder: Path, repeats: int) -> Measurement:
    spec = spec.model_copy(update={"benchmark": spec.benchmark.model_copy(update={"repeats": repeats})})
    site = Site(spec.model_copy(update={"rehearsal": True}), {})
    return benchmark.converge(site, LoadHost(str(folder), "python", folder / "users-1"), Level(users=1))


def test_the_files_of_the_middle_one_are_the_levels(tmp_path: Path, spec: DeploymentSpec, measured: list[str]) -> None:
    cell = _converge(spec, tmp_path, repeats=3)
    assert measured == ["repeat-1", "repeat-2", "repeat-3"]
    assert (cell.output_tokens_per_s, cell.repeats["output_tokens_per_s"]) == (15.0, [10.0, 20.0, 15.0])
    assert (tmp_path / "users-1" / "window.json").read_text() == "repeat-3"


def test_once_is_enough(tmp_path: Path, spec: DeploymentSpec, measured: list[str]) -> None:
    cell = _converge(spec, tmp_path, repeats=1)
    assert (measured, cell.repeats) == (["users-1"], {})
