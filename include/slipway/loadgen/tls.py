"""TLS between the transport and its sockets: what comes is opened, what goes is sealed, in memory.

So the kernel's receive times hold for HTTPS too: they are those of the segment that completed a record.
"""

from __future__ import annotations

import ssl
import time
from typing import Any
from urllib.parse import urlsplit

from slipway.errors import LoadTestFailed

RECORD_BYTES = 64 * 1024


def open_context(base_url: str, ca_file: str | None) -> ssl.SSLContext | None:
    """What an https server must prove: a certificate of ``ca_file``, or without one of the system's authorities.

    None for http. Raises LoadTestFailed where the file is none.
    """
    if urlsplit(base_url).scheme != "https":
        return None
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        hint = "ca_file is a PEM file on the machine that makes the load"
        raise LoadTestFailed(f"cannot read the certificates in {ca_file}: {error}", hint=hint) from error


class Channel:
    """One connection's TLS, in memory. Every method raises OSError (ssl.SSLError) where the other side breaks it."""

    __slots__ = ("_incoming", "_outgoing", "_session")

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    def shake_hands(self, sock: Any, timeout_s: float) -> None:
        """Agree on keys and check the certificate, over a socket that blocks its greenlet alone."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                self._session.do_handshake()
            except ssl.SSLWantReadError:
                self._pass_on(sock)
                sock.settimeout(max(0.001, deadline - time.monotonic()))
                if not (data := sock.recv(RECORD_BYTES)):
                    raise ConnectionResetError("closed in the TLS handshake") from None
                self._incoming.write(data)
            else:
                self._pass_on(sock)
                return

    def seal(self, data: bytes) -> bytes:
        """The bytes to send for ``data``."""
        self._session.write(data)
        return self._outgoing.read()

    def open(self, data: bytes) -> tuple[bytes, bool]:
        """What ``data`` completes, and whether the other side says that nothing more comes."""
        self._incoming.write(data)
        parts: list[bytes] = []
        while True:
            try:
                part = self._session.read(RECORD_BYTES)
            except ssl.SSLWantReadError:
                return b"".join(parts), False
            except ssl.SSLZeroReturnError:
                return b"".join(parts), True
            if not part:
                return b"".join(parts), True
            parts.append(part)

    def _pass_on(self, sock: Any) -> None:
        if data := self._outgoing.read():
            sock.sendall(data)
