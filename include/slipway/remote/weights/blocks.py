"""Files read and written in whole blocks, past the page cache where the file system allows it."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
from collections.abc import Callable
from pathlib import Path

BLOCK_BYTES = 4096
"""Offsets, lengths and addresses of direct reads and writes are multiples of it."""

NO_FALLOCATE = (errno.EOPNOTSUPP, errno.ENOSYS)


def whole_blocks(length: int) -> int:
    """A length in bytes, rounded up to whole blocks."""
    return -(-length // BLOCK_BYTES) * BLOCK_BYTES


def aligned_buffer(length: int) -> memoryview:
    """Zeroed memory that begins at a page and holds ``length`` bytes in whole blocks."""
    return memoryview(mmap.mmap(-1, whole_blocks(length), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))


class BlockFile:
    """An open file. It begins with O_DIRECT, and goes through the page cache once that turns out to be impossible."""

    def __init__(self, path: Path, flags: int) -> None:
        """``flags`` as for :func:`os.open`. Raises OSError."""
        self._direct = True
        try:
            self._fd = os.open(path, flags | os.O_DIRECT | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            self._direct = False
            self._fd = os.open(path, flags | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self._fd)

    def read(self, buffer: memoryview, offset: int, length: int) -> None:
        """Fill the first ``length`` bytes of an aligned buffer. Raises EOFError where the file is shorter."""
        done = 0
        while done < length:
            count = self._transfer(os.preadv, buffer[done : whole_blocks(length)], offset + done)
            if not count:
                raise EOFError(f"the file ends at byte {offset + done}")
            done += count
        if not self._direct:
            os.posix_fadvise(self._fd, offset, length, os.POSIX_FADV_DONTNEED)

    def write(self, buffer: memoryview, offset: int, length: int) -> None:
        """Write the first ``length`` bytes of an aligned buffer; the last block is filled up with zeros."""
        end = whole_blocks(length)
        buffer[length:end] = bytes(end - length)
        done = 0
        while done < end:
            done += self._transfer(os.pwritev, buffer[done:end], offset + done)

    def _transfer(self, call: Callable[[int, list[memoryview], int], int], part: memoryview, offset: int) -> int:
        try:
            return call(self._fd, [part], offset)
        except OSError as error:
            if not self._direct or error.errno != errno.EINVAL:
                raise
        fcntl.fcntl(self._fd, fcntl.F_SETFL, fcntl.fcntl(self._fd, fcntl.F_GETFL) & ~os.O_DIRECT)
        self._direct = False
        return call(self._fd, [part], offset)


def reserve(path: Path, size: int) -> int:
    """Make a file at least ``size`` bytes long, with its blocks allocated where the file system can do that.

    Returns its former length, which it keeps where the blocks cannot be had. Raises OSError.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        before = os.fstat(fd).st_size
        try:
            _allocate(fd, size)
        except OSError:
            os.ftruncate(fd, before)
            raise
        return before
    finally:
        os.close(fd)


def settle(path: Path, size: int | None = None) -> None:
    """Have what was written to a file on the disk, its length cut to ``size`` if that is given. Raises OSError."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        if size is not None:
            os.ftruncate(fd, size)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


def settle_folder(path: Path) -> None:
    """Have the names in a folder on the disk. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _allocate(fd: int, size: int) -> None:
    """``fallocate(2)`` itself: the C library's posix_fallocate writes every block where there is no such call."""
    if size <= os.fstat(fd).st_size:
        return
    fallocate = ctypes.CDLL(None, use_errno=True).fallocate
    fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    if fallocate(fd, 0, 0, size) == 0:
        return
    code = ctypes.get_errno()
    if code not in NO_FALLOCATE:
        raise OSError(code, os.strerror(code))
    os.ftruncate(fd, size)
