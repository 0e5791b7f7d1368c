"""A host over SSH. The connection itself is opened by Airflow's SSH hook; here commands run over it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from slipway.errors import CommandTimeout, HostUnreachable
from slipway.shell import Command, Result

if TYPE_CHECKING:
    import paramiko

READ_BYTES = 1 << 16


class SSHHost:
    """Runs commands over one SSH connection, opened at the first command and again after it was lost.

    ``connect`` gives a connected client or raises; it is called with no lock of ours held by others.
    """

    def __init__(self, name: str, connect: Callable[[], paramiko.SSHClient]) -> None:
        self.name = name
        self._connect = connect
        self._client: paramiko.SSHClient | None = None
        self._lock = threading.Lock()

    def run(self, command: Command) -> Result:
        began = time.monotonic()
        try:
            channel = self._channel(command)
            out, err = _exchange(channel, command, deadline=began + command.timeout_s)
            code = channel.recv_exit_status()
        except TimeoutError as error:
            message = f"no end within {command.timeout_s:g} s: {command.line()[:300]}"
            raise CommandTimeout(self.name, message, hint="look what holds it on that host") from error
        except (OSError, EOFError) as error:
            self.close()
            hint = "check the host and its network"
            raise HostUnreachable(self.name, f"connection lost: {error!r}", hint=hint) from error
        if code < 0:
            self.close()
            raise HostUnreachable(
                self.name, "the connection closed before the command ended", hint="run the task again"
            )
        return Result(
            self.name,
            command,
            code,
            out.decode(errors="replace"),
            err.decode(errors="replace"),
            time.monotonic() - began,
        )

    def close(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()
            self._client = None

    def _channel(self, command: Command) -> paramiko.Channel:
        import paramiko

        try:
            channel = self._opened().open_session(timeout=command.timeout_s)
            channel.exec_command(command.line())
        except paramiko.SSHException as error:
            self.close()
            raise HostUnreachable(
                self.name, f"SSH: {error}", hint="check the host and its Airflow connection"
            ) from error
        return channel

    def _opened(self) -> paramiko.Transport:
        with self._lock:
            transport = self._client.get_transport() if self._client else None
            if transport is None or not transport.is_active():
                self._client = self._connect()
                transport = self._client.get_transport()
            if transport is None:
                raise HostUnreachable(self.name, "the connection closed at once", hint="check sshd's log on the host")
            return transport


def _exchange(channel: paramiko.Channel, command: Command, *, deadline: float) -> tuple[bytes, bytes]:
    """Send standard input and read both outputs until the far end closes. Raises TimeoutError at the deadline."""
    err: list[bytes] = []
    reader = threading.Thread(target=_drain, args=(channel.recv_stderr, err), daemon=True)
    channel.settimeout(max(0.1, deadline - time.monotonic()))
    reader.start()
    sender = threading.Thread(target=_send, args=(channel, command.stdin), daemon=True)
    sender.start()
    out: list[bytes] = []
    while data := channel.recv(READ_BYTES):
        out.append(data)
        channel.settimeout(max(0.1, deadline - time.monotonic()))
    reader.join(max(0.1, deadline - time.monotonic()))
    return b"".join(out), b"".join(err)


def _send(channel: paramiko.Channel, data: bytes) -> None:
    try:
        channel.sendall(data)
        channel.shutdown_write()
    except OSError:
        return  # the far end closed its input; how the command ended is read from its exit code


def _drain(read: Callable[[int], bytes], into: list[bytes]) -> None:
    try:
        while data := read(READ_BYTES):
            into.append(data)
    except TimeoutError:
        return  # the main reader meets the same deadline and raises it
