"""The environment stage with real pip, on a lock file of one small package and a folder that serves as its index."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway.commands import python_env, rehearsal
from slipway.errors import HostUnfit, StageError
from slipway.hosts import LocalHost
from slipway.spec import DeploymentSpec, parse_deployment
from slipway.stages import environment
from slipway.stages.site import Site

LOCK = "slipway-rehearsal==1\n"


@pytest.fixture(autouse=True)
def _no_other_index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """pip's own configuration has one index, an empty folder."""
    (tmp_path / "empty").mkdir()
    for name in ("PIP_CONFIG_FILE", "PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.setenv(name, "/dev/null" if name == "PIP_CONFIG_FILE" else "")
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "empty").as_uri())


@pytest.fixture
def index(tmp_path: Path) -> Path:
    folder = tmp_path / "index" / "slipway-rehearsal"
    folder.mkdir(parents=True)
    (folder / rehearsal.WHEEL_NAME).write_bytes(rehearsal.wheel())
    (folder / "index.html").write_text(f'<a href="{rehearsal.WHEEL_NAME}">{rehearsal.WHEEL_NAME}</a>')
    return folder.parent


def site(tmp_path: Path, said: list[str], **choices: object) -> Site:
    spec = parse_deployment(
        """
version: 1
name: tiny
root: root
hosts: [{name: here, address: 127.0.0.2}]
environment: {lock: one, python: python3.11}
weights: {source: model, name: tiny}
serve: {model_name: tiny}
benchmark: {levels: [{users: 1}]}
""",
        origin="tiny.yaml",
        base=tmp_path,
    )
    changed = spec.model_copy(update={"environment": spec.environment.model_copy(update=choices)})
    opened = Site(changed, {"here": LocalHost("here")}, LOCK, said.append)
    opened.prepare()
    return opened


def has_the_package(spec: DeploymentSpec) -> bool:
    place = Path(python_env.folder(spec, LOCK))
    return bool(list(place.glob("lib/python3*/site-packages/slipway_rehearsal")))


def test_a_pin_that_no_index_has_ends_the_stage_and_shows_nothing(tmp_path):
    opened = site(tmp_path, [])
    with pytest.raises(StageError) as caught:
        environment.converge(opened)
    assert "No matching distribution found for slipway-rehearsal==1" in str(caught.value)
    assert "environment.fallback_indexes" in str(caught.value)
    assert not Path(python_env.folder(opened.spec, LOCK)).exists()


def test_fallback_indexes_are_tried_when_a_pin_is_lacking(tmp_path, index):
    said: list[str] = []
    opened = site(tmp_path, said, fallback_indexes=(index.as_uri(),))
    with pytest.raises(HostUnfit, match="lacks vllm, ray, torch"):
        environment.converge(opened)
    assert has_the_package(opened.spec)
    assert any("fallback indexes" in line for line in said)


def test_a_wheelhouse_replaces_every_index_and_a_second_look_makes_nothing(tmp_path, index):
    opened = site(tmp_path, [], wheelhouse=str(index / "slipway-rehearsal"))
    with pytest.raises(HostUnfit, match="lacks vllm, ray, torch"):
        environment.converge(opened)
    assert has_the_package(opened.spec)
    assert list(environment.plan(opened.spec, LOCK, environment.look(opened))) == []
    Path(python_env.folder(opened.spec, LOCK)).unlink()
    with pytest.raises(HostUnfit, match="lacks vllm, ray, torch"):
        environment.converge(opened)
    assert has_the_package(opened.spec)
