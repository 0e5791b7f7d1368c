"""The sample of a storage: real files, a bound on what is read, the cache left out where that can be."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from slipway.remote.probe import reading as probe
from slipway.remote.probe.verbs import VERBS
from slipway.remote.refusal import Refused
from slipway.remote.request import Request

BLOCK = probe.BLOCK_BYTES


def read(folder, **asked):
    return VERBS["reading"](Request({"folder": str(folder), **asked}))


@pytest.fixture
def model(tmp_path) -> Path:
    """16 blocks in two files, and a small one."""
    for name, blocks in (("a.safetensors", 10), ("b.safetensors", 6)):
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, blocks * BLOCK)
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


def test_at_most_a_quarter_is_read(model):
    seen = read(model)
    assert seen["bytes"] == 4 * BLOCK
    assert 0 < seen["seconds"] < 30


def test_the_caller_bounds_it_too(model):
    assert read(model, limit_bytes=2 * BLOCK)["bytes"] == 2 * BLOCK


def test_the_time_bounds_it(model, monkeypatch):
    def slow(path, offset, buffer):
        time.sleep(0.2)
        return BLOCK, True

    monkeypatch.setattr(probe, "_read", slow)
    assert read(model, seconds=0.3, threads=1)["bytes"] == 2 * BLOCK


def test_the_cache_is_left_out_where_the_file_system_can_do_that(model):
    assert read(model)["direct"] == _has_direct_reads(model / "a.safetensors")


def test_a_file_system_that_cannot_is_read_all_the_same():
    folder = Path("/dev/shm") / f"slipway-test-{os.getpid()}"
    folder.mkdir()
    try:
        (folder / "a").write_bytes(bytes(8 * BLOCK))
        seen = read(folder)
        assert (seen["bytes"], seen["direct"]) == (2 * BLOCK, _has_direct_reads(folder / "a"))
    finally:
        (folder / "a").unlink()
        folder.rmdir()


def test_a_model_too_small_for_a_sample_is_not_read(tmp_path):
    (tmp_path / "a").write_bytes(bytes(BLOCK))
    assert read(tmp_path)["bytes"] == 0


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(Refused, match=f"reading {tmp_path}/none"):
        read(tmp_path / "none")


def test_a_file_that_goes_away_is_refused(model, monkeypatch):
    def gone(path, offset, buffer):
        raise FileNotFoundError(2, "No such file or directory", str(path))

    monkeypatch.setattr(probe, "_read", gone)
    with pytest.raises(Refused, match="No such file"):
        read(model)


def _has_direct_reads(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECT))
    except OSError:
        return False
    return True
