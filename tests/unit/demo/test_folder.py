"""A folder is whole or not there, and never somebody else's."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway.demo.folder import MARKER, make_folder
from slipway.errors import SlipwayError


def write(folder: Path) -> None:
    (folder / "weights").write_text("1234")


def test_a_second_run_does_nothing(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "model"
    assert make_folder(out, {"sha256": "a"}, write) is True
    before = (out / "weights").stat().st_mtime_ns
    assert make_folder(out, {"sha256": "a"}, write) is False
    assert (out / "weights").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "harm", [lambda out: (out / "weights").unlink(), lambda out: (out / "weights").write_text("12")]
)
def test_a_folder_that_lost_something_is_made_again(tmp_path: Path, harm: object) -> None:
    out = tmp_path / "model"
    make_folder(out, {"sha256": "a"}, write)
    harm(out)  # type: ignore[operator]
    assert make_folder(out, {"sha256": "a"}, write) is True
    assert (out / "weights").read_text() == "1234"


def test_a_folder_from_another_source_is_replaced(tmp_path: Path) -> None:
    out = tmp_path / "model"
    make_folder(out, {"sha256": "a"}, write)
    (out / "old").write_text("left over")
    assert make_folder(out, {"sha256": "b"}, write) is True
    assert sorted(path.name for path in out.iterdir()) == [MARKER, "weights"]


def test_a_folder_that_is_not_ours_is_left_as_it_is(tmp_path: Path) -> None:
    out = tmp_path / "model"
    out.mkdir()
    (out / "precious").write_text("mine")
    with pytest.raises(SlipwayError, match="was not made by Slipway"):
        make_folder(out, {"sha256": "a"}, write)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (out / "precious").read_text() == "mine"


def test_a_run_that_was_cut_off_leaves_no_folder_and_the_next_one_clears_up(tmp_path: Path) -> None:
    out = tmp_path / "model"

    def fail(folder: Path) -> None:
        (folder / "half").write_text("12")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_folder(out, {"sha256": "a"}, fail)
    assert not out.exists()
    make_folder(out, {"sha256": "a"}, write)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert sorted(path.name for path in out.iterdir()) == [MARKER, "weights"]
