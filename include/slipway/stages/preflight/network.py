"""Checks of the cluster network: addresses, ways to the other hosts, the interfaces and devices that the file names.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from slipway.facts.machine import Peer
from slipway.results.preflight import Finding, fail, ok, warn
from slipway.stages.preflight.seen import Seen

ACTIVE = "ACTIVE"


def address(seen: Seen) -> Finding:
    """The file's address is on this host, and no other host's is."""
    wanted = seen.host.address
    if not seen.links.local:
        carried = [each for found in seen.links.interfaces.values() for each in found if not _loopback(each)]
        has = f"; it has {', '.join(carried)}" if carried else ""
        return fail(f"{wanted} is not on this host{has}", "mend hosts.address in the deployment file")
    twice = [peer for peer in seen.links.peers if peer.local]
    if twice:
        told = ", ".join(f"{peer.address}, the address of {peer.name}," for peer in twice)
        return fail(f"{told} is on this host as well", "give each host an address of its own")
    return ok(f"{wanted} on {seen.links.interface or 'an interface that only `ip` could tell'}")


def routes(seen: Seen) -> Finding:
    """Each other host answers, by the interface that has this host's address."""
    silent = [peer for peer in seen.links.peers if peer.fault and not peer.local]
    if silent:
        told = "; ".join(f"{peer.name} ({peer.address}): {peer.fault}" for peer in silent)
        return fail(told, "look at cables, firewall and routes between these hosts, and at hosts.address")
    strayed = [peer for peer in seen.links.peers if not peer.local and _strays(seen, peer)]
    if strayed:
        told = "; ".join(f"to {peer.name} by {peer.interface} from {peer.source}" for peer in strayed)
        return warn(f"{told}, not from {seen.host.address}", "is hosts.address on the cluster network?")
    ways = sorted({peer.interface or "?" for peer in seen.links.peers})
    return ok(f"{', '.join(peer.name for peer in seen.links.peers)} by {', '.join(ways)}")


def interfaces(seen: Seen) -> Finding:
    """Those that the collectives are told to use exist, and one of them carries this host's address."""
    missing: list[str] = []
    astray: list[str] = []
    found: list[str] = []
    for variable, value in _variables(seen):
        chosen = _chosen(variable, value, list(seen.links.interfaces))
        (found if chosen else missing).append(f"{variable}={value}")
        if chosen and seen.links.interface and seen.links.interface not in chosen:
            astray.append(f"{variable}={value} leaves out {seen.links.interface}, which has {seen.host.address}")
    if missing:
        there = ", ".join(seen.links.interfaces)
        return fail(
            f"{', '.join(missing)}: no such interface, there are {there}", f"set it in hosts.env of {seen.host.name}"
        )
    if astray:
        return warn("; ".join(astray), f"set it in hosts.env of {seen.host.name}, if that is not meant")
    return ok(", ".join(found))


def rdma(seen: Seen) -> Finding:
    """Each device that NCCL_IB_HCA names is there, with a port that is up."""
    named, devices = seen.env["NCCL_IB_HCA"], seen.links.infiniband
    exact, words = named.startswith("="), [word for word in named.lstrip("=").split(",") if word]
    chosen = {word: _ports(word, devices, exact=exact) for word in words}
    lacking = [word for word, states in chosen.items() if not states]
    there = ", ".join(devices) or "none"
    hint = 'mend NCCL_IB_HCA for this host, or set NCCL_IB_DISABLE: "1" to use sockets'
    if lacking:
        return fail(
            f"NCCL_IB_HCA={named}: no {', '.join(lacking)} below /sys/class/infiniband, there are: {there}", hint
        )
    down = [word for word, states in chosen.items() if ACTIVE not in states]
    if down:
        told = "; ".join(f"{word} is {', '.join(chosen[word])}" for word in down)
        return fail(f"NCCL_IB_HCA={named}: {told}", "look at the cable, the switch and the subnet manager")
    return ok(f"NCCL_IB_HCA={named}: {ACTIVE}")


def names_interfaces(seen: Seen) -> bool:
    """Whether the file says which interfaces the collectives use on this host."""
    return any(_variables(seen))


def names_rdma(seen: Seen) -> bool:
    """Whether the file says which RDMA devices NCCL uses there; ``^``, which leaves some out, names none."""
    named = seen.env.get("NCCL_IB_HCA", "")
    return bool(named) and not named.startswith("^") and seen.env.get("NCCL_IB_DISABLE", "0") != "1"


def one_machine(seen: Seen, earlier: Sequence[Seen]) -> Finding:
    """No host before it is the same machine: the same start of it, and the same network namespace."""
    same = [each for each in earlier if _identity(each) == _identity(seen)]
    if not same:
        return ok(f"{seen.facts['hostname']}, a machine of its own")
    told = f"the same machine as {same[0].host.name} ({seen.facts['hostname']})"
    return fail(told, "mend connection or address of one of the two, or leave it out")


def _identity(seen: Seen) -> tuple[str, str]:
    return str(seen.facts["boot_id"]), seen.links.namespace


def _strays(seen: Seen, peer: Peer) -> bool:
    return peer.source is not None and peer.source != seen.host.address and not _loopback(seen.host.address)


def _variables(seen: Seen) -> list[tuple[str, str]]:
    return [(name, seen.env[name]) for name in ("NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME") if seen.env.get(name)]


def _chosen(variable: str, value: str, there: list[str]) -> list[str]:
    """NCCL takes beginnings of names, ``=`` for whole names and ``^`` for those to leave out; gloo takes names."""
    words = [word for word in value.lstrip("^=").split(",") if word]
    if variable == "GLOO_SOCKET_IFNAME" or value.lstrip("^").startswith("="):
        named = [name for name in there if name in words]
    else:
        named = [name for name in there if any(name.startswith(word) for word in words)]
    return [name for name in there if name not in named] if value.startswith("^") else named


def _ports(word: str, devices: Mapping[str, Mapping[str, str]], *, exact: bool) -> list[str]:
    """States of the ports that ``mlx5_0`` or ``mlx5_0:1`` names; without ``=`` it is the beginning of a name."""
    name, _, port = word.partition(":")
    chosen = [ports for device, ports in devices.items() if (device == name if exact else device.startswith(name))]
    return [state for ports in chosen for number, state in ports.items() if not port or number == port]


def _loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"
