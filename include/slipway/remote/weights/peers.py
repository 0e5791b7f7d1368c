"""What a host that stages fetches from the other hosts, instead of from the source."""

from __future__ import annotations

import http.client
import threading
import time
from contextlib import suppress
from http import HTTPStatus

from slipway.remote.weights.chunks import Chunk
from slipway.remote.weights.digests import open_digest
from slipway.remote.weights.striping import DIGEST, GONE_S, RETRY_S, TIMEOUT_S, Shelf, Stripe, authorization

PATIENCE_S = 600.0
"""How long a host waits for one chunk of a peer that answers, before it reads the source itself."""


class Peers:
    """What all threads of one copy know of the other hosts."""

    def __init__(self, stripe: Stripe, shelf: Shelf, algorithm: str) -> None:
        self.stripe, self.shelf = stripe, shelf
        self.digest = open_digest(algorithm)
        self.lost: set[int] = set()
        self.fetched_bytes = 0
        self._adding = threading.Lock()

    def add(self, count: int) -> None:
        with self._adding:
            self.fetched_bytes += count

    def say_served(self) -> None:
        """Tell every peer that this host needs nothing more, and wait until they do not either."""
        others = [host for host in range(len(self.stripe.addresses)) if host != self.stripe.own]
        for host in others:
            with suppress(OSError, http.client.HTTPException):
                self._put(host)
        self.shelf.asked_at = time.monotonic()
        self.shelf.wait_until_served(len(others))

    def _put(self, host: int) -> None:
        connection = http.client.HTTPConnection(self.stripe.addresses[host], self.stripe.port, timeout=5)
        connection.request("PUT", f"/{self.shelf.model}/{self.stripe.own}", headers=authorization(self.stripe))
        connection.getresponse().read()
        connection.close()


class PeerReader:
    """Chunks of the other hosts, asked for by one thread, over one connection to each."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._connections: dict[int, http.client.HTTPConnection] = {}

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()

    def read(self, chunk: Chunk, buffer: memoryview) -> str:
        """Read a peer's chunk into the buffer and give its digest; empty where the source must be read instead."""
        host = self._peers.stripe.holder(chunk)
        if host == self._peers.stripe.own:
            return ""
        deadline = time.monotonic() + PATIENCE_S
        answered_at = time.monotonic()
        while host not in self._peers.lost and time.monotonic() < deadline:
            try:
                status, digest = self._asked(host, chunk, buffer)
            except (OSError, http.client.HTTPException):
                self._connections.pop(host).close()
                if time.monotonic() - answered_at > GONE_S:
                    self._peers.lost.add(host)
                time.sleep(RETRY_S)
                continue
            answered_at = time.monotonic()
            if status == HTTPStatus.OK:
                return self._taken(chunk, buffer, digest)
            if status != HTTPStatus.NOT_FOUND:
                self._peers.lost.add(host)
        return ""

    def _taken(self, chunk: Chunk, buffer: memoryview, told: str) -> str:
        """The digest, where what arrived is what the peer read."""
        if self._peers.digest(buffer[: chunk.length]) != told:
            return ""
        self._peers.add(chunk.length)
        return told

    def _asked(self, host: int, chunk: Chunk, buffer: memoryview) -> tuple[int, str]:
        stripe = self._peers.stripe
        connection = self._connections.setdefault(
            host, http.client.HTTPConnection(stripe.addresses[host], stripe.port, timeout=TIMEOUT_S)
        )
        connection.request("GET", f"/{self._peers.shelf.model}/{chunk.number}", headers=authorization(stripe))
        response = connection.getresponse()
        if response.status != HTTPStatus.OK or response.length != chunk.length:
            response.read()
            return (response.status if response.status != HTTPStatus.OK else HTTPStatus.CONFLICT), ""
        done = 0
        while done < chunk.length:
            count = response.readinto(buffer[done : chunk.length])
            if not count:
                raise http.client.IncompleteRead(b"", chunk.length - done)
            done += count
        response.read()
        return response.status, response.headers.get(DIGEST, "")
