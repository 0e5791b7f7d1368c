"""HTTP as a host asks it: real sockets, good and bad servers, every failure under its own name."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import time
from contextlib import contextmanager

import pytest

from slipway.remote.agent.ready import ready
from slipway.remote.probe.asking import LONGEST_BODY, EventLines, ask, parse_question
from slipway.remote.probe.verbs import VERBS
from slipway.remote.refusal import Refused
from slipway.remote.request import Request

EVENTS = [b"data: one\n\n", b": comment\ndata:two\ndata: lines\r\n\r\n", b"event: x\n\n", b"data: [DONE]\n\n"]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/events":
            return self.send_events()
        if self.path == "/redirect":
            self.send_response(302)
            self.send_header("Location", "/ok")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.send(200 if self.path == "/ok" else 404, b"x" * (LONGEST_BODY + 5) if self.path == "/long" else b"fine")
        return None

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        said = {"body": body.decode(), "type": self.headers["Content-Type"], "key": self.headers["Authorization"]}
        self.send(201, json.dumps(said).encode())

    def send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_events(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in EVENTS:
            for part in (event[:3], event[3:]):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            time.sleep(0.05)
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *args) -> None:
        pass


@pytest.fixture(scope="module")
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextmanager
def bad_server(talk):
    """A server that takes one connection and does what ``talk`` does with it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                talk(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        thread.join(5)
        assert not thread.is_alive()


def answer(url: str, **more) -> dict:
    return ask(parse_question(Request({"url": url, **more})))


def drip(connection: socket.socket) -> None:
    try:
        while True:
            connection.sendall(b"H")
            time.sleep(0.02)
    except OSError:
        return


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def test_requests_are_answered_in_order(server):
    requests = [{"url": f"{server}/ok"}, {"url": f"{server}/none"}, {"url": "http://127.0.0.1:9/"}]
    one, two, three = VERBS["http"](Request({"requests": requests}))["responses"]
    assert (one["status"], one["body"], one["error"], one["events"]) == (200, "fine", None, [])
    assert (two["status"], two["body"]) == (404, "fine")
    assert (three["status"], three["error"], three["body"]) == (None, "refused", "")
    assert 0 < one["seconds"] < 5


def test_json_and_headers_are_sent(server):
    given = answer(f"{server}/x", method="POST", json={"ü": [1]}, headers={"Authorization": "Bearer k"})
    said = json.loads(given["body"])
    assert (given["status"], json.loads(said["body"])) == (201, {"ü": [1]})
    assert (said["type"], said["key"]) == ("application/json", "Bearer k")


def test_a_key_is_read_from_a_file_that_nobody_else_may_see(server, tmp_path):
    path = tmp_path / "key.json"
    path.write_text('{"KEY": "k"}')
    path.chmod(0o600)
    bearer = {"env_file": str(path), "name": "KEY"}
    assert json.loads(answer(f"{server}/x", method="POST", json={}, bearer=bearer)["body"])["key"] == "Bearer k"
    with pytest.raises(Refused, match=r"bearer\.name: OTHER is not in that file"):
        answer(server, bearer={**bearer, "name": "OTHER"})
    path.chmod(0o640)
    with pytest.raises(Refused, match="can be read by others"):
        answer(server, bearer=bearer)
    with pytest.raises(FileNotFoundError):
        answer(server, bearer={**bearer, "env_file": str(tmp_path / "none")})


def test_a_redirect_is_an_answer_and_no_proxy_is_used(server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9/")
    assert answer(f"{server}/redirect")["status"] == 302
    assert not ready(f"{server}/redirect", 2)
    assert ready(f"{server}/ok", 2)


def test_a_long_body_is_cut(server):
    given = answer(f"{server}/long")
    assert (given["truncated"], len(given["body"]), given["error"]) == (True, LONGEST_BODY, None)


def test_events_have_their_time_of_arrival(server):
    given = answer(f"{server}/events", stream=True)
    assert [event["data"] for event in given["events"]] == ["one", "two\nlines", "[DONE]"]
    times = [event["seconds"] for event in given["events"]]
    assert times[1] - times[0] > 0.03
    assert times == sorted(times)
    assert given["seconds"] >= times[-1]


def test_an_error_instead_of_a_stream_has_its_body(server):
    given = answer(f"{server}/none", stream=True)
    assert (given["status"], given["body"], given["events"]) == (404, "fine", [])


@pytest.mark.parametrize(
    ("talk", "name"),
    [
        (lambda c: None, "closed"),
        (reset, "reset"),
        (lambda c: c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), "closed"),
        (lambda c: c.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"), "closed"),
        (lambda c: c.sendall(b"SSH-2.0-OpenSSH\r\n"), "protocol"),
        (lambda c: c.recv(1), "timeout"),
        (drip, "timeout"),
        (lambda c: (c.sendall(b"HTTP/1.1 200 OK\r\n\r\n"), drip(c)), "timeout"),
    ],
    ids=["closed", "reset", "half a body", "half a chunk", "no HTTP", "silent", "dripping header", "dripping body"],
)
def test_a_failure_has_its_name_and_its_end(talk, name):
    with bad_server(talk) as url:
        given = answer(url, timeout_s=0.3)
    assert given["error"] == name
    assert given["detail"]
    assert given["seconds"] < 3


def test_a_name_that_nobody_knows(server):
    assert answer("http://nobody.invalid/", timeout_s=5)["error"] == "name"


def test_tls_where_none_is_spoken(server):
    assert answer(server.replace("http:", "https:"))["error"] == "tls"


@pytest.mark.parametrize(
    ("talk", "is_ready"),
    [
        (lambda c: c.sendall(b"HTTP/1.1 200 OK\r\n\r\n"), True),
        (lambda c: [c.sendall(b"HTTP/1."), time.sleep(0.05), c.sendall(b"0 200\r\n")], True),
        (lambda c: c.sendall(b"HTTP/1.1 503 No\r\n\r\n200"), False),
        (lambda c: c.sendall(b"HTTP/1.1 2000\r\n"), False),
        (lambda c: None, False),
        (lambda c: c.recv(1), False),
        (drip, False),
    ],
    ids=["200", "in parts", "503", "2000", "closed", "silent", "dripping"],
)
def test_ready_is_a_200_in_time(talk, is_ready):
    with bad_server(talk) as url:
        began = time.monotonic()
        assert ready(url, 0.3) is is_ready
        assert time.monotonic() - began < 2


def test_what_does_not_listen_is_not_ready():
    assert not ready("http://127.0.0.1:9/health", 1)
    assert not ready("http://nobody.invalid/health", 1)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"url": "ftp://h/"}, "url"),
        ({"url": "http:///x"}, "url"),
        ({"url": "http://h:port/"}, "url"),
        ({"url": None}, "url"),
        ({"method": "BREW"}, "method"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"headers": ["x"]}, "headers"),
        ({"stream": 1}, "stream"),
    ],
)
def test_a_wrong_field_is_named(wrong, field):
    with pytest.raises(Refused, match=f"^requests\\[0\\].{field}: "):
        VERBS["http"](Request({"requests": [{"url": "http://h/", **wrong}]}))


@pytest.mark.parametrize(("headers", "path"), [({"X": "a\r\nb"}, "/"), ({}, "/a b"), ({"X": "模"}, "/"), ({}, "/模")])
def test_what_cannot_be_sent_is_a_failure_too(server, headers, path):
    assert answer(f"{server}{path}", headers=headers)["error"] == "protocol"


def test_events_may_be_cut_anywhere():
    whole = b"".join(EVENTS)
    for size in (1, 2, 7, len(whole)):
        lines = EventLines()
        parts = [whole[at : at + size] for at in range(0, len(whole), size)]
        assert [data for part in parts for data in lines.feed(part)] == ["one", "two\nlines", "[DONE]"]
