"""The cluster network as this host sees it: its address, its interfaces, its ways to the others, its RDMA devices."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from slipway.remote.request import Request

TIMEOUT_S = 10
REACH_S = 3.0
AT_ONCE = 16
INFINIBAND = Path("/sys/class/infiniband")
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
"""A login that is not interactive often lacks the folders of ``ip``."""


def network(request: Request) -> dict[str, Any]:
    """``address`` on this host, and the way to each of ``peers``, a name, an address and a port.

    ``interface`` carries the address; None where that is not known. ``interfaces`` are the addresses of each.
    """
    address, peers = request.text("address"), request.parts("peers")
    carried = interfaces()
    own = way(address)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        seen = list(pool.map(peer, peers))
    return {
        "local": own["local"],
        "interface": next((name for name, found in carried.items() if address in found), own["interface"]),
        "interfaces": carried,
        "peers": seen,
        "infiniband": infiniband(INFINIBAND),
        "namespace": str(Path("/proc/self/ns/net").readlink()),
    }


def peer(part: Request) -> dict[str, Any]:
    """The way to another host, and why it does not answer there; a refused connection is an answer, too."""
    address = part.text("address")
    found = way(address)
    fault = found["fault"] if found["local"] else unreachable(address, part.integer("port", low=1, high=65535))
    return {**found, "name": part.text("name"), "address": address, "fault": fault}


def way(address: str) -> dict[str, Any]:
    """Whether an address is this host's own; else by which interface, and from which address, packets to it go."""
    try:
        numeric = socket.getaddrinfo(address, None)[0][4][0]
        route = parse_route(_ip("route", "get", str(numeric)))
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return {"local": _bound(address), "interface": None, "source": None, "fault": _said(error)}
    return {**route, "fault": None}


def parse_route(text: str) -> dict[str, Any]:
    """The answer of ``ip -j route get``."""
    route = json.loads(text)[0]
    return {"local": route.get("type") == "local", "interface": route.get("dev"), "source": route.get("prefsrc")}


def parse_interfaces(text: str) -> dict[str, list[str]]:
    """The answer of ``ip -j addr``: addresses by interface."""
    return {
        link["ifname"]: [each["local"] for each in link.get("addr_info", ()) if "local" in each]
        for link in json.loads(text)
        if "ifname" in link
    }


def interfaces() -> dict[str, list[str]]:
    """Addresses by interface; where there is no ``ip``, the interfaces alone."""
    try:
        return parse_interfaces(_ip("addr"))
    except (OSError, ValueError, subprocess.SubprocessError):
        return {name: [] for _, name in socket.if_nameindex()}


def infiniband(place: Path) -> dict[str, dict[str, str]]:
    """By RDMA device, the state of each port, such as ``ACTIVE``."""
    devices = sorted(place.iterdir()) if place.exists() else []
    return {device.name: {port.name: _port_state(port) for port in _ports(device)} for device in devices}


def unreachable(address: str, port: int) -> str | None:
    """Why nothing answers at an address; None where somebody does, also with a refusal."""
    try:
        socket.create_connection((address, port), timeout=REACH_S).close()
    except ConnectionRefusedError:
        return None
    except OSError as error:
        return f"no answer within {REACH_S:g} s" if isinstance(error, (TimeoutError, socket.timeout)) else _said(error)
    return None


def _ports(device: Path) -> list[Path]:
    folder = device / "ports"
    return sorted(folder.iterdir()) if folder.exists() else []


def _port_state(port: Path) -> str:
    """The kernel writes ``4: ACTIVE``."""
    try:
        return (port / "state").read_text(encoding="ascii").rpartition(":")[2].strip()
    except OSError as error:
        return error.strerror or "unknown"


def _bound(address: str) -> bool:
    """Whether it is this host's own, asked without ``ip``."""
    try:
        [family, kind, protocol, _, place] = socket.getaddrinfo(address, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.bind(place)
    except OSError:
        return False
    return True


def _ip(*words: str) -> str:
    program = shutil.which("ip", path=PATH)
    if program is None:
        raise FileNotFoundError(2, "there is no `ip` on this host")
    argv = [program, "-j", *words]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=TIMEOUT_S).stdout


def _said(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return str(error.stderr).strip() or f"exit code {error.returncode} from ip"
    return getattr(error, "strerror", None) or str(error)
