"""Xid messages: what the NVIDIA driver wrote into the kernel's log about its GPUs since this host was started."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

KERNEL_LOG = Path("/dev/kmsg")
LONGEST_RECORD = 8192
MOST = 50
XID = re.compile(r"NVRM: Xid \(PCI:([0-9a-fA-F]+:[0-9a-fA-F]+:[0-9a-fA-F]+)[^)]*\): (\d+)(?:, (.*))?")


def xids(path: Path = KERNEL_LOG) -> list[dict[str, Any]] | None:
    """The last of them: ``pci``, ``xid``, ``text``, ``age_s``. None where this user may not read the kernel's log."""
    try:
        return list(parse_xids(_records(path), time.monotonic()))[-MOST:]
    except OSError:
        return None


def parse_xids(records: Iterable[str], now_s: float) -> Iterator[dict[str, Any]]:
    """From records as ``/dev/kmsg`` gives them: ``6,339,5140900,-;text``, the third being microseconds since boot."""
    for record in records:
        prefix, _, text = record.partition(";")
        found = XID.search(text)
        if found:
            age_s = max(0.0, now_s - int(prefix.split(",")[2]) / 1e6)
            said = (found[3] or "").strip()
            yield {"pci": found[1].lower(), "xid": int(found[2]), "text": said, "age_s": round(age_s, 1)}


def _records(path: Path) -> Iterator[str]:
    """One read gives one record; the log's end would block."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        while record := _next(handle):
            yield record.decode(errors="replace").splitlines()[0]
    finally:
        os.close(handle)


def _next(handle: int) -> bytes:
    while True:
        try:
            return os.read(handle, LONGEST_RECORD)
        except BlockingIOError:
            return b""
        except BrokenPipeError:
            continue  # records were overwritten meanwhile: the next read gives the oldest that is there
