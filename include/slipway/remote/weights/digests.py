"""What names the bytes of a chunk: SHA-256, or XXH3 of 128 bits, which costs a tenth of the processor's time.

XXH3 finds every accident that SHA-256 finds; somebody who forges a model can make two chunks of one XXH3. Python has no
XXH3 of its own: the package ``xxhash`` gives it, or the library of that name, which a host's package manager brings.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib
import sys
from collections.abc import Callable
from functools import cache

from slipway.remote.refusal import Refused

SHA256, XXH3 = "sha256", "xxh3"
DIGESTS = (SHA256, XXH3)
LIBRARY = "libxxhash.so.0"

Digest = Callable[[memoryview], str]
"""The digest of a buffer that can be written to, in hexadecimal digits."""


@cache
def open_digest(name: str) -> Digest:
    """The digest of this name. Raises Refused where this ``python3`` has none."""
    found = _sha256 if name == SHA256 else _of_package() or _of_library()
    if found is None:
        raise Refused(
            f"weights.digest: {name}: {sys.executable} has no package xxhash, and no library {LIBRARY} is here",
            f"install one of them on this host (Debian: libxxhash0, Fedora: xxhash-libs), or say {SHA256}",
        )
    return found


def _sha256(data: memoryview) -> str:
    return hashlib.sha256(data).hexdigest()


def _of_package() -> Digest | None:
    try:
        found: Digest = importlib.import_module("xxhash").xxh3_128_hexdigest
    except ImportError:
        return None
    return found


class _Halves(ctypes.Structure):
    """``XXH128_hash_t``."""

    _fields_ = (("low", ctypes.c_uint64), ("high", ctypes.c_uint64))


def _of_library() -> Digest | None:
    try:
        take = ctypes.CDLL(LIBRARY).XXH3_128bits
    except (OSError, AttributeError):
        return None
    take.argtypes, take.restype = (ctypes.c_void_p, ctypes.c_size_t), _Halves

    def digest(data: memoryview) -> str:
        halves = take(ctypes.addressof(ctypes.c_char.from_buffer(data)) if data else None, len(data))
        return f"{halves.high:016x}{halves.low:016x}"

    return digest
