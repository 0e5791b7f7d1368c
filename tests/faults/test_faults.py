"""Each fault is provoked on the real program, and its right cause is named within 10 s of the program's end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.bed import ROOT, Bed
from faults.provoked import FAULTS, Fault

from slipway.spec import DeploymentSpec, load_deployment
from slipway.stages.evidence import explain, gather
from slipway.stages.site import Site

QUICK = ("arg-unknown", "maxlen-derived")
"""What `make test` provokes; `make test-faults` provokes all."""

NAMED_WITHIN_S = 10.0


@pytest.fixture(scope="session")
def demo() -> DeploymentSpec:
    return load_deployment(ROOT / "include" / "deployments" / "demo.yaml")


@pytest.fixture
def bed(fault: Fault, serving_python: str, tmp_path: Path) -> Iterator[Bed]:
    with Bed(tmp_path, serving_python, fault.name, 20000 + 100 * FAULTS.index(fault)).opened() as opened:
        yield opened


@pytest.mark.parametrize(
    "fault", [pytest.param(each, id=each.name, marks=[] if each.name in QUICK else pytest.mark.slow) for each in FAULTS]
)
def test_the_cause_is_named(fault: Fault, bed: Bed, demo: DeploymentSpec):
    began = time.time()
    fault.provoke(bed)
    ended = bed.state(fault.program).ended_at
    spec = demo.model_copy(update={"name": fault.name, "root": str(bed.root)})
    ray = spec.ray.model_copy(update={"temp_dir": str(bed.short / "0")})
    site = Site(spec.model_copy(update={"ray": ray}), {"here": bed.host}, say=print)
    found = explain(site.spec, gather(site, began), "ready", began, "")
    named = time.time()
    assert found is not None, bed.log(fault.program)[-3000:]
    assert found.id == fault.cause, found.text
    assert ended is not None
    assert named - ended < NAMED_WITHIN_S
