"""A file on a host."""

from __future__ import annotations

from slipway.commands import kit
from slipway.hosts import Host


def text_of(host: Host, root: str, path: str, limit_bytes: int = 1 << 16) -> str:
    """The beginning of a file; empty where there is none."""
    request = {"path": path, "limit": limit_bytes}
    return str(kit.reply(host.run(kit.call(root, "files", "read", request))).get("text") or "")
