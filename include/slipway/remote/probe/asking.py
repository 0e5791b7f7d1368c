"""HTTP requests made on the host itself: no proxy, no redirect, an end in time, and each failure under its name."""

from __future__ import annotations

import errno
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from slipway.remote.request import Request
from slipway.remote.secret_variables import secret_variables

LONGEST_BODY = 1 << 20
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
Answer = dict[str, Any]


@dataclass(frozen=True)
class Question:
    """One request. ``timeout_s`` bounds it from the connection to the last byte."""

    method: str
    url: SplitResult
    headers: Mapping[str, str]
    body: bytes | None
    timeout_s: float
    stream: bool


def parse_question(part: Request) -> Question:
    """A request as it was asked for; ``bearer`` says which variable of a secret file is the key that goes with it."""
    method = part.text("method", "GET")
    if method not in METHODS:
        raise part.wrong("method", f"{method!r} is none of {', '.join(METHODS)}")
    content = part.get("json")
    body = None if content is None else json.dumps(content).encode()
    headers = {**part.variables("headers"), **_authorization(part)}
    if body is not None:
        headers = {"Content-Type": "application/json", **headers}
    timeout_s = part.number("timeout_s", 30, low=0.01, high=86400)
    return Question(method, _url(part), headers, body, timeout_s, part.flag("stream"))


def ask(question: Question) -> Answer:
    """What came back: status, body or events, and seconds; or the name of what went wrong, and nothing raised.

    ``error`` is None or one of refused, timeout, reset, closed, unreachable, name, tls, protocol, failed.
    """
    answer: Answer = {"status": None, "body": "", "truncated": False, "events": [], "error": None, "detail": ""}
    began = time.monotonic()
    connection = _connection(question.url, question.timeout_s)
    cut_off = threading.Event()
    try:
        with _bounded(connection, question.timeout_s, cut_off):
            _converse(connection, question, answer, began)
    except (OSError, http.client.HTTPException, ValueError) as error:
        answer["error"] = "timeout" if cut_off.is_set() else _name(error)
        answer["detail"] = str(error) or type(error).__name__
    finally:
        connection.close()
    return {**answer, "seconds": round(time.monotonic() - began, 6)}


class EventLines:
    """Server-sent events, taken apart as bytes arrive: the payload of each is its ``data`` lines."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[str] = []

    def feed(self, arrived: bytes) -> list[str]:
        """The payloads of the events that are complete now."""
        *lines, self._rest = (self._rest + arrived).split(b"\n")
        complete: list[str] = []
        for raw in lines:
            line = raw.rstrip(b"\r").decode(errors="replace")
            if line.startswith("data:"):
                self._data.append(line[5:].removeprefix(" "))
            elif not line and self._data:
                complete.append("\n".join(self._data))
                self._data = []
        return complete


def _converse(connection: http.client.HTTPConnection, question: Question, answer: Answer, began: float) -> None:
    connection.request(question.method, _target(question.url), body=question.body, headers=dict(question.headers))
    response = connection.getresponse()
    answer["status"] = response.status
    events = EventLines() if question.stream and response.status == http.client.OK else None
    body = b""
    size = 0
    while not answer["truncated"] and (arrived := response.read1(1 << 16)):
        at = round(time.monotonic() - began, 6)
        size += len(arrived)
        answer["truncated"] = size > LONGEST_BODY
        if events is None:
            body += arrived
            answer["body"] = body[:LONGEST_BODY].decode(errors="replace")
        else:
            answer["events"] += [{"data": data, "seconds": at} for data in events.feed(arrived)]
    if not answer["truncated"] and response.length:
        raise http.client.IncompleteRead(b"", response.length)


@contextmanager
def _bounded(connection: http.client.HTTPConnection, seconds: float, cut_off: threading.Event) -> Iterator[None]:
    """Connect, and break the connection when the time is up, so that no slow drip of bytes outlasts it."""

    def cut(sock: socket.socket) -> None:
        cut_off.set()
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    began = time.monotonic()
    connection.connect()
    timer = threading.Timer(max(0.0, seconds - (time.monotonic() - began)), cut, [connection.sock])
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
    if cut_off.is_set():
        raise TimeoutError(f"not ended within {seconds:g} s")


def _connection(url: SplitResult, timeout_s: float) -> http.client.HTTPConnection:
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    return kind(url.hostname or "", url.port, timeout=timeout_s)


def _authorization(part: Request) -> dict[str, str]:
    bearer = part.part("bearer")
    if bearer is None:
        return {}
    name = bearer.text("name")
    key = secret_variables(Path(bearer.text("env_file"))).get(name)
    if not key:
        raise bearer.wrong("name", f"{name} is not in that file")
    return {"Authorization": f"Bearer {key}"}


def _target(url: SplitResult) -> str:
    return f"{url.path or '/'}?{url.query}" if url.query else url.path or "/"


def _url(part: Request) -> SplitResult:
    text = part.text("url")
    try:
        url = urlsplit(text)
        sound = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise part.wrong("url", f"{text!r} is no http or https address")
    return url


def _name(error: Exception) -> str:
    for kinds, name in _NAMES:
        if isinstance(error, kinds):
            return name
    if isinstance(error, OSError):
        if type(error).__module__ == "ssl":
            return "tls"
        return "unreachable" if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH) else "failed"
    return "protocol"


_NAMES: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((ConnectionRefusedError,), "refused"),
    ((http.client.RemoteDisconnected, http.client.IncompleteRead), "closed"),
    ((ConnectionResetError, BrokenPipeError), "reset"),
    ((TimeoutError, socket.timeout), "timeout"),
    ((socket.gaierror,), "name"),
)
