"""What the programs said, captured from the real ones: each failure has the cause that its file is named after."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway.diagnosis import Source, diagnose

DATA = Path(__file__).parents[2] / "data"
FAILED = sorted(DATA.glob("*/failures/*.log"))
HEALTHY = sorted(DATA.glob("*/healthy/*.log"))


def source(path: Path) -> Source:
    return Source("here", path.parents[1].name.split("-")[0], path.name, path.read_text())


def name(path: Path) -> str:
    return f"{path.parents[1].name}/{path.stem}"


@pytest.mark.parametrize("path", FAILED, ids=name)
def test_the_cause_is_found(path):
    found = diagnose([source(path)])
    assert found is not None
    assert found.id == path.stem.split("--")[0]


@pytest.mark.parametrize("path", HEALTHY, ids=name)
def test_a_healthy_log_has_no_cause(path):
    assert diagnose([source(path)]) is None


@pytest.mark.parametrize("path", [*FAILED, *HEALTHY], ids=name)
def test_what_healthy_programs_say_hides_no_cause_and_is_none(path):
    """A failure is still found where another host's programs are well."""
    found = diagnose([*map(source, HEALTHY), source(path)])
    assert (found.id if found else None) == (path.stem.split("--")[0] if path in FAILED else None)


def test_the_corpus_is_there():
    assert len(FAILED) >= 30
    assert HEALTHY
