"""The network proof: what an all-reduce over the ranks of a deployment reaches, and what it goes over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

NETWORKS = {"IB": "IB", "Socket": "sockets"}
"""NCCL's own networks; a plugin's goes by the name that it gives itself."""

LOCAL = {"P2P": "P2P", "SHM": "shared memory"}
"""What NCCL uses between GPUs of one host."""


@dataclass(frozen=True)
class NetworkFigure:
    """One all-reduce, small and large, as nccl-tests count: seconds, and bytes a second.

    ``algbw`` is the buffer's size over the time; ``busbw`` is that times 2(n-1)/n, which is what each link carried.
    ``over`` says how the ranks spoke: IB, sockets, a plugin's name, within one host P2P or shared memory; nothing where
    there is one rank. ``transports`` are NCCL's own words for it.
    """

    backend: str
    ranks: int
    over: str
    small_bytes: int
    small_s: float
    large_bytes: int
    large_s: float
    algbw: float
    busbw: float
    transports: tuple[str, ...] = ()

    def data(self) -> dict[str, Any]:
        """As JSON keeps it."""
        return {**asdict(self), "transports": list(self.transports)}


def figure(backend: str, ranks: Iterable[Mapping[str, Any]], small_bytes: int, large_bytes: int) -> NetworkFigure:
    """From what every rank measured: times are the mean over the ranks, as in nccl-tests."""
    said = list(ranks)
    count = len(said)
    small_s, large_s = (sum(rank[name] for rank in said) / count for name in ("small_s", "large_s"))
    words = tuple(sorted({transport(via) for rank in said for via in rank["via"]}))
    return NetworkFigure(
        backend=backend,
        ranks=count,
        over=over(words) if backend == "nccl" else "sockets",
        small_bytes=small_bytes,
        small_s=small_s,
        large_bytes=large_bytes,
        large_s=large_s,
        algbw=large_bytes / large_s,
        busbw=large_bytes / large_s * 2 * (count - 1) / count,
        transports=words,
    )


def transport(via: str) -> str:
    """A transport as NCCL's log names it, without the device: NET/IB/3(7)/GDRDMA(PCI)/Shared is NET/IB/GDRDMA."""
    kind, _, rest = via.partition("/")
    if kind not in ("NET", "COLLNET"):
        return kind
    name, *more = rest.split("/")
    return f"{kind}/{name}/GDRDMA" if any(word.startswith("GDRDMA") for word in more) else f"{kind}/{name}"


def over(transports: Iterable[str]) -> str:
    """What carried the data, in words: between hosts where there is a network among them, else within the host."""
    kinds = [name.split("/") for name in transports]
    networks = {NETWORKS.get(kind[1], kind[1]) for kind in kinds if kind[0] in ("NET", "COLLNET")}
    return ", ".join(sorted(networks or {LOCAL.get(kind[0], kind[0]) for kind in kinds}))


def told(data: Mapping[str, Any]) -> str:
    """What a run's snapshot holds of it, in a line; empty where there is nothing."""
    if not data:
        return ""
    if "skipped" in data:
        return f"not measured: {data['skipped']}"
    if data["ranks"] == 1:
        return f"one rank, {data['backend']} works there"
    how = f"{data['backend']} over {data['over']}" if data["over"] else data["backend"]
    large = f"{data['large_bytes'] / (1 << 20):g} MiB all-reduce {data['busbw'] / 1e9:.2f} GB/s busbw"
    rates = f"{large} ({data['algbw'] / 1e9:.2f} algbw)"
    return f"{data['ranks']} ranks, {how}: {rates}, {data['small_bytes']} B {data['small_s'] * 1e6:.0f} us"
