"""A real HTTP server in threads whose behaviour each test writes itself, byte by byte."""

from __future__ import annotations

import datetime
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from slipway.loadgen.plan import LoadPlan
from slipway.loadgen.prompts import Prompt, save_prompts

STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def chunk(payload: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(payload), payload)


def event(body: dict[str, Any] | str) -> bytes:
    text = body if isinstance(body, str) else json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    return f"data: {text}\n\n".encode()


def delta(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": None}]}


def usage(prompt: int, completion: int) -> dict[str, Any]:
    return {"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": completion}}


def answer_of(*events: dict[str, Any] | str) -> list[bytes]:
    """An event stream: its head, each event in a chunk of its own, ``[DONE]``, its end."""
    return [STREAM_HEAD, *(chunk(event(each)) for each in (*events, "[DONE]")), END]


def whole_stream(tokens: int, *, prompt: int = 9) -> list[bytes]:
    """A good chat answer: its role, its tokens, its usage, its end; each in a chunk of its own."""
    words = (delta(content=f" {number}") for number in range(tokens))
    return answer_of(delta(role="assistant", content=""), *words, usage(prompt, tokens))


@dataclass
class Call:
    """One request as the server got it, on its connection. ``turn`` counts the requests of the whole server."""

    conn: socket.socket
    head: str
    body: bytes
    turn: int

    def send(self, *parts: bytes) -> None:
        for part in parts:
            self.conn.sendall(part)

    def reset(self) -> None:
        """Close without a goodbye: the client sees a reset."""
        self.conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.conn.close()

    @property
    def asked(self) -> dict[str, Any]:
        return dict(json.loads(self.body))


Behaviour = Callable[[Call], None]


@dataclass
class Server:
    behave: Behaviour
    door: socket.socket
    calls: list[Call] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)
    conns: list[socket.socket] = field(default_factory=list)
    tls: ssl.SSLContext | None = None

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.door.getsockname()[1]}"

    def let_in(self) -> None:
        while True:
            try:
                conn, _ = self.door.accept()
            except OSError:
                return
            self.conns.append(conn)
            self.spawn(self.talk, conn)

    def spawn(self, work: Callable[..., None], *given: Any) -> None:
        thread = threading.Thread(target=work, args=given, daemon=True)
        self.threads.append(thread)
        thread.start()

    def talk(self, conn: socket.socket) -> None:
        """Requests of one connection, until either side closes it."""
        try:
            if self.tls:
                conn = self.tls.wrap_socket(conn, server_side=True)
                self.conns.append(conn)
            while request := _read_request(conn):
                self.calls.append(Call(conn, *request, turn=len(self.calls)))
                self.behave(self.calls[-1])
        except OSError:
            return

    def close(self) -> None:
        self.door.shutdown(socket.SHUT_RDWR)
        self.door.close()
        for conn in self.conns:
            conn.close()
        for thread in self.threads:
            thread.join(timeout=5)
            assert not thread.is_alive()


def _read_request(conn: socket.socket) -> tuple[str, bytes] | None:
    data = b""
    while b"\r\n\r\n" not in data:
        more = conn.recv(65536)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    while len(body) < length:
        body += conn.recv(65536)
    return head.decode(), body


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(behave: Behaviour, tls: ssl.SSLContext | None = None) -> Server:
        server = Server(behave, socket.create_server(("127.0.0.1", 0), backlog=64), tls=tls)
        servers.append(server)
        server.spawn(server.let_in)
        return server

    yield start
    for server in servers:
        server.close()


NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


def _signed(subject: str, key: Any, issuer: str, issuer_key: Any, extension: x509.ExtensionType) -> x509.Certificate:
    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    made = x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer)).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(NOW - DAY).not_valid_after(NOW + DAY)
    return made.add_extension(extension, critical=True).sign(issuer_key, hashes.SHA256())


@pytest.fixture(scope="module")
def ca_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate of an authority of our own; beside it ``server.pem``, a server's certificate with its key."""
    folder = tmp_path_factory.mktemp("tls")
    authority, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    mine = _signed("test authority", authority, "test authority", authority, x509.BasicConstraints(True, None))
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    proof = _signed("server", server, "test authority", authority, names)
    pem = serialization.Encoding.PEM
    key = server.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "ca.pem").write_bytes(mine.public_bytes(pem))
    (folder / "server.pem").write_bytes(key + proof.public_bytes(pem))
    return folder / "ca.pem"


@pytest.fixture
def tls(ca_file: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca_file.with_name("server.pem"))
    return context


@pytest.fixture
def plan_for(tmp_path: Path) -> Callable[..., LoadPlan]:
    """A plan for a server, with two prompts of its own."""

    def make(url: str, **changes: Any) -> LoadPlan:
        folder = tmp_path / "cell"
        folder.mkdir(exist_ok=True)
        save_prompts(folder / "prompts.jsonl", [Prompt("one two three", 3), Prompt("four five six", 3)])
        usual: dict[str, Any] = {"users": 1, "seconds": 1.0, "warmup_s": 0.0}
        usual |= {"output_tokens": 4, "request_timeout_s": 5.0}
        return LoadPlan(base_url=url, model="m", folder=str(folder), **(usual | changes))

    return make


@dataclass(frozen=True)
class Wire:
    """The bytes of a good answer, for tests that bend them."""

    head: bytes = STREAM_HEAD
    end: bytes = END
    chunk: Callable[[bytes], bytes] = chunk
    event: Callable[..., bytes] = event
    delta: Callable[..., dict[str, Any]] = delta
    usage: Callable[[int, int], dict[str, Any]] = usage
    answer: Callable[..., list[bytes]] = answer_of
    stream: Callable[..., list[bytes]] = whole_stream


@pytest.fixture
def wire() -> Wire:
    return Wire()
