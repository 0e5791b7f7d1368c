"""Which files of a run are given: those of its own folder, and none by a name that was made up."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway.ui.files import file_named, files_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "run-7"
    (folder / "users-8").mkdir(parents=True)
    (folder / "users-8" / "report.html").write_text("report")
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "up").symlink_to(tmp_path)
    return folder


def test_plain_files_are_listed_with_their_size(folder: Path) -> None:
    assert [(file.name, file.bytes) for file in files_of(folder).files] == [("users-8/report.html", 6)]


def test_a_folder_that_is_not_there_has_none(tmp_path: Path) -> None:
    assert files_of(tmp_path / "run-8").files == []
    assert file_named(tmp_path / "run-8", "a") is None


@pytest.mark.parametrize(
    "name", ["../secret", "users-8/../../secret", "/etc/passwd", "link", "up/secret", "users-8", ""]
)
def test_what_is_not_listed_is_not_given(folder: Path, name: str) -> None:
    assert file_named(folder, name) is None


def test_what_is_listed_is_given(folder: Path) -> None:
    assert file_named(folder, "users-8/report.html") == folder / "users-8" / "report.html"
