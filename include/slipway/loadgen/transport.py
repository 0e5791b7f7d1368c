"""gevent's loop reads for all users of a process: one ``recvmsg`` a token, and a greenlet is woken once an answer.

The kernel stamps each segment when it reaches the host (``SO_TIMESTAMPNS``), so a late reader still knows when a token
came. TLS lies between, in memory.
"""

from __future__ import annotations

import ssl
import struct
import time
from typing import Any

from gevent import get_hub, monkey
from gevent import socket as green
from gevent.hub import Waiter

from slipway.loadgen.answer import Answer
from slipway.loadgen.tls import Channel
from slipway.results.rows import CUT

SO_TIMESTAMPNS = 35
READ_BYTES = 16 * 1024
SWEEP_S = 0.1
"""How often deadlines are looked at, in seconds."""

_socket = monkey.get_original("socket", "socket")
_STAMP = struct.Struct("@qq")
_CONTROL_BYTES = 64
_READABLE = 1


class Line:
    """One user's connection, which carries one request at a time."""

    __slots__ = ("answer", "channel", "deadline_ns", "sock", "waiter", "watcher")

    def __init__(self, sock: Any, watcher: Any, channel: Channel | None = None) -> None:
        self.sock = sock
        self.watcher = watcher
        self.channel = channel
        self.answer: Answer | None = None
        self.deadline_ns = 0
        self.waiter: Any = None

    @property
    def open(self) -> bool:
        return self.sock is not None


class Transport:
    """All connections of a process; with ``tls`` they are encrypted. ``reads`` and ``unstamped_reads`` count what the
    kernel gave."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.address = (host, port)
        self._tls = tls
        self.reads = self.unstamped_reads = 0
        self._lines: set[Line] = set()
        self._hub = get_hub()
        self._loop = self._hub.loop
        self._turn_s = self._loop.now()
        self._since_ns = int(self._turn_s * 1e9)
        self._stamped = _socket()  # the kernel begins to stamp a moment after the first socket asked for it
        self._stamped.setsockopt(green.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._sweeper = self._loop.timer(SWEEP_S, SWEEP_S)
        self._sweeper.start(self._sweep)

    def connect(self, timeout_s: float) -> Line:
        """A new connection. Raises OSError; :func:`connect_error` names its kind."""
        joined = green.create_connection(self.address, timeout=timeout_s)
        channel = self._secured(joined, timeout_s)
        sock = _socket(joined.family, joined.type, fileno=joined.detach())
        sock.setblocking(False)
        sock.setsockopt(green.IPPROTO_TCP, green.TCP_NODELAY, 1)
        sock.setsockopt(green.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        line = Line(sock, self._loop.io(sock.fileno(), _READABLE), channel)
        line.watcher.start(self._read_ready, line)
        self._lines.add(line)
        return line

    def _secured(self, joined: Any, timeout_s: float) -> Channel | None:
        if self._tls is None:
            return None
        channel = Channel(self._tls, self.address[0])
        try:
            channel.shake_hands(joined, timeout_s)
        except OSError:
            joined.close()
            raise
        return channel

    def exchange(self, line: Line, request: bytes, answer: Answer, timeout_s: float) -> None:
        """Send a request and wait until ``answer`` is over, ``timeout_s`` at most."""
        line.answer, line.waiter = answer, Waiter(self._hub)
        answer.sent_ns = time.time_ns()
        line.deadline_ns = answer.sent_ns + int(timeout_s * 1e9)
        try:
            self._send(line, request, answer)
            if not answer.ended_ns:
                line.waiter.get()
        finally:
            line.answer = None
            if not answer.reusable or answer.error == CUT:
                self.hang_up(line)

    def hang_up(self, line: Line) -> None:
        if line.sock is not None:
            line.watcher.stop()
            line.watcher.close()
            self._lines.remove(line)
            line.sock.close()
            line.sock = None

    def cut(self) -> None:
        """End every request that is under way, as cut."""
        self._loop.run_callback(self._cut_all)

    def close(self) -> None:
        for line in list(self._lines):
            self.hang_up(line)
        self._sweeper.stop()
        self._sweeper.close()
        self._stamped.close()

    def _send(self, line: Line, request: bytes, answer: Answer) -> None:
        left = memoryview(line.channel.seal(request) if line.channel else request)
        while left and not answer.ended_ns:
            try:
                left = left[line.sock.send(left) :]
            except BlockingIOError:
                _wait_until_writable(line)
            except OSError as error:
                answer.fail("connect_reset", str(error), time.time_ns())

    def _read_ready(self, line: Line) -> None:
        """Read a connection that has something; its user, if the answer is over, is woken once all others are read.

        Runs in the hub, whose loop looks at all connections as a turn begins: what is there was not at the last one.
        """
        turn_s = self._loop.now()
        if turn_s != self._turn_s:
            self._since_ns, self._turn_s = int(self._turn_s * 1e9), turn_s
        answer = line.answer
        if answer is None:
            self._read_between(line)
        elif not answer.ended_ns and self._read(line, answer):
            self._loop.run_callback(line.waiter.switch, None)

    def _read_between(self, line: Line) -> None:
        """Between two requests there is nothing to read but the server's goodbye, and what TLS says to itself."""
        try:
            data = line.sock.recv(READ_BYTES)
            if data and line.channel and line.channel.open(data) == (b"", False):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self.hang_up(line)

    def _read(self, line: Line, answer: Answer) -> bool:
        """One read into an answer; answers whether it is over."""
        try:
            data, control, _, _ = line.sock.recvmsg(READ_BYTES, _CONTROL_BYTES)
        except BlockingIOError:
            return False
        except OSError as error:
            answer.fail("connect_reset", str(error), time.time_ns())
            return True
        if not data:
            answer.hang_up(time.time_ns())
            return True
        self.reads += 1
        if control:
            seconds, nanoseconds = _STAMP.unpack(control[0][2])
            stamp_ns = seconds * 1_000_000_000 + nanoseconds
        else:
            self.unstamped_reads += 1
            stamp_ns = time.time_ns()
        if line.channel:
            return _feed_opened(line.channel, answer, data, stamp_ns, self._since_ns)
        return answer.feed(data, stamp_ns, self._since_ns)

    def _sweep(self) -> None:
        now_ns = time.time_ns()
        for line in list(self._lines):
            if line.answer is not None and now_ns > line.deadline_ns:
                kind = late_kind(line.answer, now_ns, line.deadline_ns)
                self._end(line, line.answer, kind, f"{line.answer.tokens} tokens had come")

    def _cut_all(self) -> None:
        for line in list(self._lines):
            if line.answer is not None:
                self._end(line, line.answer, CUT, "")

    def _end(self, line: Line, answer: Answer, kind: str, detail: str) -> None:
        if not answer.ended_ns:
            answer.fail(kind, detail, time.time_ns())
            line.waiter.switch(None)


def connect_error(error: OSError) -> str:
    """The kind of failure of a connection that could not be made."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "tls_certificate"
    if isinstance(error, ssl.SSLError):
        return "tls_failed"
    if isinstance(error, ConnectionRefusedError):
        return "connect_refused"
    if isinstance(error, TimeoutError):
        return "connect_timeout"
    return "connect_reset" if isinstance(error, ConnectionResetError) else "connect_failed"


def late_kind(answer: Answer, now_ns: int, deadline_ns: int) -> str:
    """Why a request is not over at its deadline: no head came, nothing new for half of its time, or it is slow."""
    if answer.head is None:
        return "slow_header"
    newest_ns = max(answer.sent_ns, answer.first_event_ns, answer.last_token_ns)
    return "stalled" if now_ns - newest_ns > (deadline_ns - answer.sent_ns) / 2 else "timeout"


def _feed_opened(channel: Channel, answer: Answer, data: bytes, stamp_ns: int, since_ns: int) -> bool:
    """What one read of an encrypted connection completes; answers whether the answer is over."""
    try:
        opened, closed = channel.open(data)
    except ssl.SSLError as error:
        answer.fail("tls_failed", str(error), stamp_ns)
        return True
    if opened and answer.feed(opened, stamp_ns, since_ns):
        return True
    if closed:
        answer.hang_up(stamp_ns)
    return bool(answer.ended_ns)


def _wait_until_writable(line: Line) -> None:
    try:
        green.wait_write(line.sock.fileno(), timeout=1.0)
    except TimeoutError:
        return
