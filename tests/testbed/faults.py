"""Faults of the test bed's hosts, made for real and undone: what a host, its disk or its cable may have."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator

from slipway.hosts import Host, checked
from slipway.shell import Command

LISTEN = "import socket, sys; s = socket.create_server(('', int(sys.argv[1]))); print(flush=True); sys.stdin.read()"


@contextlib.contextmanager
def taken_port(name: str, port: int) -> Iterator[int]:
    """A stranger's process that listens there; answers its pid."""
    argv = ["ip", "netns", "exec", name, "python3", "-c", LISTEN, str(port)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as stranger:
        assert stranger.stdin
        assert stranger.stdout
        stranger.stdout.readline()
        yield stranger.pid
        stranger.stdin.close()


@contextlib.contextmanager
def shared_address(names: list[str], address: str) -> Iterator[None]:
    """One address on several hosts."""
    for name in names:
        _ip("-n", name, "addr", "add", f"{address}/32", "dev", "lo")
    try:
        yield
    finally:
        for name in names:
            _ip("-n", name, "addr", "del", f"{address}/32", "dev", "lo")


@contextlib.contextmanager
def cut_link(ports: list[str]) -> Iterator[None]:
    """The hosts behind these ports of the bridge do not reach each other, and this machine reaches all."""
    for port in ports:
        _ip("link", "set", "dev", port, "type", "bridge_slave", "isolated", "on")
    try:
        yield
    finally:
        for port in ports:
            _ip("link", "set", "dev", port, "type", "bridge_slave", "isolated", "off")


@contextlib.contextmanager
def mounted_over(host: Host, *mount: str) -> Iterator[None]:
    """Something mounted on a host, seen there alone; ``mount`` are that program's arguments, the place last."""
    run(host, "mount", *mount)
    try:
        yield
    finally:
        run(host, "umount", mount[-1])


def run(host: Host, *argv: str) -> str:
    return checked(host.run(Command(argv))).stdout


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=30)
