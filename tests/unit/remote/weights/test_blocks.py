"""Whole blocks in and out of files, with and without the page cache."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from slipway.remote.weights.blocks import BLOCK_BYTES, BlockFile, aligned_buffer, reserve, settle

LENGTHS = [1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 5 * BLOCK_BYTES + 77]


def direct(file: BlockFile) -> bool:
    return bool(int(Path(f"/proc/self/fdinfo/{file._fd}").read_text().split("flags:")[1].split()[0], 8) & os.O_DIRECT)


@pytest.mark.parametrize("length", LENGTHS)
def test_what_is_written_is_read_back(tmp_path: Path, length: int) -> None:
    path, data = tmp_path / "file", random.Random(length).randbytes(length)
    buffer = aligned_buffer(length)
    buffer[:length] = data
    file = BlockFile(path, os.O_RDWR | os.O_CREAT)
    file.write(buffer, 2 * BLOCK_BYTES, length)
    settle(path, 2 * BLOCK_BYTES + length)
    assert path.read_bytes() == bytes(2 * BLOCK_BYTES) + data
    buffer[:] = bytes(len(buffer))
    file.read(buffer, 2 * BLOCK_BYTES, length)
    file.close()
    assert buffer[:length] == data


def test_a_file_that_is_too_short_ends_the_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(5000))
    file = BlockFile(path, os.O_RDONLY)
    with pytest.raises(EOFError, match="the file ends at byte 5000"):
        file.read(aligned_buffer(2 * BLOCK_BYTES), 0, 2 * BLOCK_BYTES)
    file.close()


def test_a_file_system_that_refuses_o_direct_is_read_through_the_cache() -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        os.open("/proc/version", os.O_RDONLY | os.O_DIRECT)
    expected = Path("/proc/version").read_bytes()
    buffer = aligned_buffer(BLOCK_BYTES)
    file = BlockFile(Path("/proc/version"), os.O_RDONLY)
    file.read(buffer, 0, len(expected))
    file.close()
    assert buffer[: len(expected)] == expected


def test_a_transfer_that_o_direct_refuses_goes_through_the_cache(tmp_path: Path) -> None:
    path, data = tmp_path / "file", random.Random(1).randbytes(3 * BLOCK_BYTES)
    path.write_bytes(data)
    buffer = aligned_buffer(2 * BLOCK_BYTES)
    file = BlockFile(path, os.O_RDONLY)
    file.read(buffer[1:], 13, BLOCK_BYTES)
    assert buffer[1 : BLOCK_BYTES + 1] == data[13 : BLOCK_BYTES + 13]
    assert not direct(file)
    file.close()


def test_room_is_reserved_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert reserve(path, 100_000) == 0
    assert path.stat().st_size == 100_000
    assert path.stat().st_blocks * 512 >= 100_000
    assert reserve(path, 50_000) == 100_000
    assert path.stat().st_size == 100_000


def test_room_is_not_reserved_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"mine")
    (tmp_path / "link").symlink_to("target")
    with pytest.raises(OSError, match="symbolic links"):
        reserve(tmp_path / "link", 100)
    assert (tmp_path / "target").read_bytes() == b"mine"
