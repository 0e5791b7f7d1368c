"""The transport against a real server: stamps, reuse, deadlines, cuts."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from slipway.loadgen.answer import Answer
from slipway.loadgen.transport import Transport, connect_error

REQUEST = b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def open_transport() -> Iterator[Callable[[Any], Transport]]:
    opened: list[Transport] = []

    def start(server: Any) -> Transport:
        opened.append(Transport(*server.door.getsockname()))
        return opened[-1]

    yield start
    for transport in opened:
        transport.close()


def _exchange(transport: Transport, *, timeout_s: float = 5.0, request: bytes = REQUEST) -> Answer:
    line, answer = transport.connect(5.0), Answer(1000)
    transport.exchange(line, request, answer, timeout_s)
    return answer


def _exchange_asleep(transport: Transport, awake: threading.Event) -> Answer:
    """The whole loop is blocked from the moment that the request was sent until ``awake``."""
    line, answer = transport.connect(5.0), Answer(1000)
    gevent.spawn(awake.wait, 10)
    transport.exchange(line, REQUEST, answer, 20.0)
    return answer


def test_times_are_the_kernels_and_hold_while_the_reader_sleeps(serve: Any, wire: Any, open_transport: Any) -> None:
    sent_ns: list[int] = []
    awake = threading.Event()

    def behave(call: Any) -> None:
        head, role, first, *rest = wire.stream(3)
        call.send(head, role)
        sent_ns.append(time.time_ns())
        call.send(first)
        time.sleep(0.2)
        awake.set()
        time.sleep(0.1)
        call.send(*rest)

    transport = open_transport(serve(behave))
    answer = _exchange_asleep(transport, awake)
    assert answer.error == ""
    assert 0 <= answer.first_token_ns - sent_ns[0] < 100_000_000
    assert (transport.unstamped_reads, answer.late_us) == (0, 0)
    assert answer.sent_ns < sent_ns[0]


def test_a_read_that_brought_more_than_the_first_token_says_how_late_it_may_be(
    serve: Any, wire: Any, open_transport: Any
) -> None:
    awake = threading.Event()

    def behave(call: Any) -> None:
        *begun, end = wire.stream(3)
        for part in begun:
            call.send(part)
            time.sleep(0.02)
        awake.set()
        call.send(end)

    answer = _exchange_asleep(open_transport(serve(behave)), awake)
    assert answer.error == ""
    assert answer.first_read_tokens > answer.first_tokens
    assert answer.late_us > 50_000


def test_a_connection_carries_one_request_after_the_other(serve: Any, wire: Any, open_transport: Any) -> None:
    server = serve(lambda call: call.send(*wire.stream(2)))
    transport = open_transport(server)
    line = transport.connect(5.0)
    for _ in range(3):
        answer = Answer(2)
        transport.exchange(line, REQUEST, answer, 5.0)
        assert (answer.error, line.open) == ("", True)
    assert (len(server.calls), len(server.conns)) == (3, 1)


def test_a_connection_that_the_server_closes_in_between_is_noticed(serve: Any, wire: Any, open_transport: Any) -> None:
    def behave(call: Any) -> None:
        call.send(*wire.stream(2))
        time.sleep(0.05)
        call.conn.shutdown(socket.SHUT_RDWR)

    transport = open_transport(serve(behave))
    line, answer = transport.connect(5.0), Answer(2)
    transport.exchange(line, REQUEST, answer, 5.0)
    assert line.open
    gevent.sleep(0.2)
    assert not line.open


def _stall(call: Any) -> None:
    time.sleep(0.6)


def _slow_head(call: Any) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n":
        call.send(bytes([byte]))
        time.sleep(0.02)


def _stall_after(call: Any) -> None:
    call.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n1")
    time.sleep(0.6)


def _drip(call: Any) -> None:
    call.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 99999\r\n\r\n")
    for _ in range(20):
        call.send(b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n')
        time.sleep(0.03)


@pytest.mark.parametrize(
    ("behave", "kind"),
    [(_stall, "slow_header"), (_slow_head, "slow_header"), (_stall_after, "stalled"), (_drip, "timeout")],
)
def test_a_deadline_holds_whatever_the_server_does(serve: Any, open_transport: Any, behave: Any, kind: str) -> None:
    began = time.monotonic()
    answer = _exchange(open_transport(serve(behave)), timeout_s=0.3)
    assert answer.error == kind
    assert 0.3 <= time.monotonic() - began < 0.6


def test_a_reset_in_the_middle(serve: Any, wire: Any, open_transport: Any) -> None:
    def behave(call: Any) -> None:
        call.send(*wire.stream(3)[:4])
        time.sleep(0.05)
        call.reset()

    answer = _exchange(open_transport(serve(behave)))
    assert (answer.error, answer.tokens) == ("connect_reset", 2)


def test_a_server_that_hangs_up_without_a_word(serve: Any, open_transport: Any) -> None:
    answer = _exchange(open_transport(serve(lambda call: call.conn.shutdown(socket.SHUT_RDWR))))
    assert answer.error == "no_answer"


def test_a_request_larger_than_the_sockets_buffers(serve: Any, wire: Any, open_transport: Any) -> None:
    got: list[int] = []

    def behave(call: Any) -> None:
        got.append(len(call.body))
        call.send(*wire.stream(1))

    size = 8 << 20
    request = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
    answer = _exchange(open_transport(serve(behave)), request=request)
    assert (answer.error, got) == ("", [size])


def test_a_server_that_never_reads_a_large_request(open_transport: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        transport = Transport(*door.getsockname())
        request = b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n" + b"x" * (32 << 20)
        answer = _exchange(transport, timeout_s=0.3, request=request)
        transport.close()
    assert answer.error == "slow_header"


def test_cut_ends_what_is_under_way(serve: Any, open_transport: Any) -> None:
    transport = open_transport(serve(_stall))
    gevent.spawn_later(0.1, transport.cut)
    answer = _exchange(transport)
    assert (answer.error, answer.ended_ns - answer.sent_ns < 400_000_000) == ("cut", True)


def test_two_hundred_at_once_in_one_thread(serve: Any, wire: Any, open_transport: Any) -> None:
    gate = threading.Barrier(200)

    def behave(call: Any) -> None:
        gate.wait(timeout=20)
        call.send(*wire.stream(3))

    transport = open_transport(serve(behave))
    users = [gevent.spawn(_exchange, transport, timeout_s=25.0) for _ in range(200)]
    gevent.joinall(users, timeout=30)
    assert [user.value.error for user in users] == [""] * 200


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectionRefusedError(), "connect_refused"),
        (TimeoutError(), "connect_timeout"),
        (ConnectionResetError(), "connect_reset"),
        (OSError(113, "No route to host"), "connect_failed"),
    ],
)
def test_a_connection_that_could_not_be_made_has_a_name(error: OSError, kind: str) -> None:
    assert connect_error(error) == kind


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        address = door.getsockname()
    transport = Transport(*address)
    with pytest.raises(ConnectionRefusedError):
        transport.connect(5.0)
    transport.close()
