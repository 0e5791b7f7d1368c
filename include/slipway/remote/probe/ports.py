"""Who holds a TCP port of this host."""

from __future__ import annotations

import errno
import os
import pwd
import socket
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from slipway.remote.request import Request

LISTENING = "0A"
WILDCARDS = ("0.0.0.0", "::")  # noqa: S104 - compared with, not listened on


class Entry(NamedTuple):
    """A line of ``/proc/net/tcp`` or ``tcp6``: the local end of a socket."""

    address: str
    port: int
    state: str
    inode: str


def port(part: Request) -> dict[str, Any]:
    """Whether ``host``:``port`` can be listened on, and if not, why, and who holds it where this user may see that."""
    host, number = part.text("host", "0.0.0.0"), part.integer("port", low=1, high=65535)  # noqa: S104 - bound, closed
    fault = _bind_fault(host, number)
    owner = None
    if fault is not None and fault.errno == errno.EADDRINUSE:
        owner = owner_of(in_the_way(_sockets(), host, number))
    reason = None if fault is None else fault.strerror or str(fault)
    return {"host": host, "port": number, "free": fault is None, "reason": reason, "owner": owner}


def owner_of(inodes: set[str]) -> dict[str, Any] | None:
    """The process that has one of these sockets open; None where none is visible."""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            held = {str((handle).readlink()) for handle in (process / "fd").iterdir()} if wanted else set()
        except OSError:
            continue
        if held & wanted:
            return describe(int(process.name))
    return None


def describe(pid: int) -> dict[str, Any] | None:
    """A process for the eye of a person: its user, command line and session; None where there is none."""
    place = Path("/proc") / str(pid)
    try:
        words = (place / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        command = b" ".join(words) or b"[" + (place / "comm").read_bytes().strip() + b"]"
        user = _user(place.stat().st_uid)
        return {"pid": pid, "user": user, "command": command.decode(errors="replace"), "session": os.getsid(pid)}
    except OSError:
        return None


def parse_sockets(text: str) -> Iterator[Entry]:
    """The lines of ``/proc/net/tcp`` or ``tcp6``, whose addresses are 32-bit words in this machine's byte order."""
    for line in text.splitlines()[1:]:
        fields = line.split()
        raw, _, port_text = fields[1].partition(":")
        words = [bytes.fromhex(raw[at : at + 8]) for at in range(0, len(raw), 8)]
        packed = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
        address = socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)
        yield Entry(address.removeprefix("::ffff:"), int(port_text, 16), fields[3], fields[9])


def in_the_way(sockets: Iterable[Entry], host: str, number: int) -> set[str]:
    """The inodes of the sockets that hold an address: those that listen, else any at this port."""
    entries = [entry for entry in sockets if entry.port == number and _meet(entry.address, host)]
    listening = [entry for entry in entries if entry.state == LISTENING]
    return {entry.inode for entry in listening or entries if entry.inode != "0"}


def _bind_fault(host: str, number: int) -> OSError | None:
    """Why the address cannot be bound now; None where it can. Closed connections that still linger do not count."""
    try:
        [family, kind, protocol, _, address] = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except OSError as error:
        return error
    return None


def _sockets() -> Iterator[Entry]:
    for name in ("tcp", "tcp6"):
        table = Path("/proc/net") / name
        if table.exists():
            yield from parse_sockets(table.read_text(encoding="ascii"))


def _meet(address: str, host: str) -> bool:
    """Whether two local addresses are in each other's way; a host's name is compared with every address."""
    numeric = host.replace(".", "").isdigit() or ":" in host
    return not numeric or host in WILDCARDS or address in (host, *WILDCARDS)


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
