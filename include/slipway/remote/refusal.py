"""The one error of the programs that run on a host: they refuse, with a reason and a hint."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

HINTS = {
    errno.EACCES: "let this user read the source and write the store",
    errno.EDQUOT: "raise the user's quota, then stage again: it resumes",
    errno.EFBIG: "raise the file size limit (`ulimit -f`) or choose a file system for larger files, then stage again",
    errno.EIO: "see the host's kernel log for the disk or the network file system",
    errno.ENOSPC: "free space or inodes on this file system, then stage again: it resumes",
    errno.EROFS: "choose a root on a file system that can be written",
}


class Refused(Exception):
    """What was asked for cannot be done. ``hint`` says what to do next; it may be empty."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@contextmanager
def refusing(doing: str) -> Iterator[None]:
    """Turn an error of the operating system into Refused, with what was being done."""
    try:
        yield
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise Refused(f"{doing}: {error.strerror or error}{where}", HINTS.get(error.errno or 0, "")) from error
