"""The wheel of the rehearsal platform plugin, made from its sources without any build tool."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Iterator
from importlib.resources import files

PACKAGE = "slipway_rehearsal"
VERSION = "1"
WHEEL_NAME = f"{PACKAGE}-{VERSION}-py3-none-any.whl"

DIST_INFO = f"{PACKAGE}-{VERSION}.dist-info"
METADATA = f"Metadata-Version: 2.1\nName: slipway-rehearsal\nVersion: {VERSION}\nSummary: vLLM on CPU under Ray\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: slipway\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
ENTRY_POINTS = f"[vllm.platform_plugins]\nslipway-rehearsal = {PACKAGE}:register\n"


def wheel() -> bytes:
    """The wheel file. The same sources give the same bytes. Its name must be :data:`WHEEL_NAME`."""
    content = dict(_content())
    record = "".join(f"{name},{_digest(data)},{len(data)}\n" for name, data in content.items())
    content[f"{DIST_INFO}/RECORD"] = f"{record}{DIST_INFO}/RECORD,,\n".encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in content.items():
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, data)
    return buffer.getvalue()


def _content() -> Iterator[tuple[str, bytes]]:
    sources = files("slipway") / "serving" / "rehearsal"
    for source in sorted(sources.iterdir(), key=lambda entry: entry.name):
        if source.name.endswith(".py"):
            yield f"{PACKAGE}/{source.name}", source.read_bytes()
    for name, text in (("METADATA", METADATA), ("WHEEL", WHEEL), ("entry_points.txt", ENTRY_POINTS)):
        yield f"{DIST_INFO}/{name}", text.encode()


def _digest(data: bytes) -> str:
    """A digest as RECORD has it: URL-safe base64 without padding."""
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
