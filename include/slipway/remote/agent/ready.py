"""Whether a server is ready: one GET, answered with 200 in time. The agent asks every second, and needs no more."""

from __future__ import annotations

import re
import socket
import time
from urllib.parse import urlsplit

LONGEST_STATUS_LINE = 4096


def ready(url: str, timeout_s: float) -> bool:
    """Ask ``url`` (http), and wait at most ``timeout_s`` for the status. No redirect is followed, no proxy is used."""
    deadline = time.monotonic() + timeout_s
    parts = urlsplit(url)
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    asked = f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
    said = b""
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 80), timeout_s) as connection:
            connection.sendall(asked.encode())
            while b"\n" not in said and len(said) < LONGEST_STATUS_LINE:
                connection.settimeout(max(0.001, deadline - time.monotonic()))
                part = connection.recv(LONGEST_STATUS_LINE)
                if not part:
                    break
                said += part
    except OSError:
        return False
    return re.match(rb"HTTP/1\.[01] 200[ \r\n]", said) is not None
