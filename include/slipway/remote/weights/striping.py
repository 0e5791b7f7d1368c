"""Chunks that hosts give each other while all of them stage the same model: each reads a share of the source for all.

Spoken over HTTP at the address of each host in the cluster: ``GET /MODEL/NUMBER`` gives a chunk with its digest, and
``PUT /MODEL/HOST`` says that a host needs nothing more. Who does not know the token of this one staging gets nothing.
"""

from __future__ import annotations

import hmac
import os
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from slipway.remote.refusal import refusing
from slipway.remote.weights.chunks import Chunk

DIGEST = "X-Digest"
WAIT_S = 20.0
"""How long a question waits for a chunk that is not there yet."""

GONE_S = 30.0
"""A peer that cannot be reached for so long is lost: what it had to give is read from the source. One that has all
waits for its peers as long, after the last of them asked."""

RETRY_S = 0.5
TIMEOUT_S = WAIT_S + 10


@dataclass(frozen=True)
class Stripe:
    """``own`` is the place of this host among ``addresses``: it reads every chunk whose number has that remainder."""

    own: int
    addresses: tuple[str, ...]
    port: int
    token: str

    def holder(self, chunk: Chunk) -> int:
        """Which host reads a chunk from the source."""
        return chunk.number % len(self.addresses)

    def in_order(self, chunks: list[Chunk], lag: int) -> list[Chunk]:
        """The own chunks in their order, and between them those of the peers, ``lag`` rounds later than they read them.

        A host that waits for a chunk has begun all that comes before it, so two never wait for each other.
        """

        def turn(chunk: Chunk) -> tuple[int, bool, int]:
            others = self.holder(chunk) != self.own
            return chunk.number // len(self.addresses) + (lag if others else 0), others, chunk.number

        return sorted(chunks, key=turn)


class Shelf:
    """The chunks that this host has, and where: what its peers may ask for."""

    def __init__(self, model: str, folder: Path) -> None:
        """``model`` names files, chunk size and digest, so that nobody is given a chunk of another model."""
        self.model = model
        self.folder = folder
        self.asked_at = time.monotonic()
        self._chunks: dict[int, tuple[Chunk, str]] = {}
        self._served: set[int] = set()
        self._changed = threading.Condition()

    def put(self, chunk: Chunk, digest: str) -> None:
        with self._changed:
            self._chunks[chunk.number] = chunk, digest
            self._changed.notify_all()

    def take(self, number: int, seconds: float) -> tuple[Chunk, str] | None:
        """A chunk with its digest, as soon as it is there; None where it is not within ``seconds``."""
        with self._changed:
            self._changed.wait_for(lambda: number in self._chunks, seconds)
            return self._chunks.get(number)

    def note_served(self, host: int) -> None:
        """A host has everything."""
        with self._changed:
            self._served.add(host)
            self._changed.notify_all()

    def wait_until_served(self, peers: int) -> None:
        """Until every peer has everything, or none has asked for half a minute."""
        with self._changed:
            while len(self._served) < peers and time.monotonic() - self.asked_at < GONE_S:
                self._changed.wait(RETRY_S)


class PeerServer(ThreadingHTTPServer):
    """Gives from the shelf, at one address, until it is closed."""

    daemon_threads = True

    def __init__(self, stripe: Stripe, shelf: Shelf) -> None:
        """Raises Refused where the address is taken, or not this host's."""
        self.shelf, self.token = shelf, stripe.token
        address = (stripe.addresses[stripe.own], stripe.port)
        with refusing(f"listening for the other hosts at {address[0]}:{address[1]}"):
            super().__init__(address, Answer)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class Answer(BaseHTTPRequestHandler):
    """One connection of a peer."""

    server: PeerServer
    protocol_version = "HTTP/1.1"
    timeout = TIMEOUT_S

    def do_GET(self) -> None:
        number = self._allowed()
        if number is None:
            return
        found = self.server.shelf.take(number, WAIT_S)
        if found is None:
            self._say(HTTPStatus.NOT_FOUND)
            return
        chunk, digest = found
        try:
            with (self.server.shelf.folder / chunk.name).open("rb") as file:
                self._say(HTTPStatus.OK, chunk.length, {DIGEST: digest})
                self.connection.sendfile(file, chunk.offset, chunk.length)
        except OSError:
            self.close_connection = True

    def do_PUT(self) -> None:
        host = self._allowed()
        if host is not None:
            self.server.shelf.note_served(host)
            self._say(HTTPStatus.OK)

    def _allowed(self) -> int | None:
        """The number that is asked about; None where that was refused."""
        given = self.headers.get("Authorization", "").encode()
        _, model, number = [*self.path.split("/"), "", ""][:3]
        if not hmac.compare_digest(given, f"Bearer {self.server.token}".encode()):
            self._say(HTTPStatus.UNAUTHORIZED)
            return None
        if model != self.server.shelf.model or not number.isdecimal():
            self._say(HTTPStatus.CONFLICT)
            return None
        self.server.shelf.asked_at = time.monotonic()
        return int(number)

    def _say(self, status: HTTPStatus, length: int = 0, headers: dict[str, str] | None = None) -> None:
        self.send_response_only(status)
        for name, value in {"Content-Length": str(length), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing: a line a chunk helps nobody."""


def authorization(stripe: Stripe) -> dict[str, str]:
    return {"Authorization": f"Bearer {stripe.token}"}


def load_token(path: Path) -> str:
    """The token of one staging. Raises Refused where the file cannot be read."""
    with refusing(f"reading {path}"), os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), encoding="ascii") as file:
        return file.read().strip()
