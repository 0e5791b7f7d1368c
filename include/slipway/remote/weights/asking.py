"""The fields of a request that several verbs about weights have."""

from __future__ import annotations

import os
from pathlib import Path

from slipway.remote.request import Request
from slipway.remote.weights.blocks import BLOCK_BYTES
from slipway.remote.weights.chunks import DEFAULT_CHUNK_BYTES
from slipway.remote.weights.digests import DIGESTS, SHA256
from slipway.remote.weights.mounts import is_network
from slipway.remote.weights.striping import Stripe, load_token

MOST_THREADS = 64
LARGEST_CHUNK_BYTES = 1024**3


def path_of(asked: Request, name: str) -> Path:
    path = Path(asked.text(name))
    if not path.is_absolute():
        raise asked.wrong(name, "is not an absolute path")
    return path


def chunk_bytes_of(asked: Request) -> int:
    chunk_bytes = asked.integer("chunk_bytes", DEFAULT_CHUNK_BYTES, low=BLOCK_BYTES, high=LARGEST_CHUNK_BYTES)
    if chunk_bytes % BLOCK_BYTES:
        raise asked.wrong("chunk_bytes", f"is not a multiple of {BLOCK_BYTES}")
    return chunk_bytes


def algorithm_of(asked: Request) -> str:
    """What makes the digests of chunks."""
    algorithm = asked.text("digest", SHA256)
    if algorithm not in DIGESTS:
        raise asked.wrong("digest", f"is none of {', '.join(DIGESTS)}")
    return algorithm


def limit_of(asked: Request) -> int | None:
    """Bytes a second; None for no limit."""
    return None if asked.get("limit_bytes_per_s") is None else asked.integer("limit_bytes_per_s", low=1)


def stripe_of(asked: Request) -> Stripe | None:
    """How several hosts share the source; None where each reads all of it."""
    part = asked.part("stripe")
    if part is None:
        return None
    addresses = tuple(part.texts("addresses"))
    own = part.integer("own", high=max(0, len(addresses) - 1))
    token = load_token(path_of(part, "token_file"))
    return Stripe(own, addresses, part.integer("port", low=1, high=65535), token)


def threads_of(asked: Request, folder: Path) -> int:
    """As many as were asked for, else what suits the storage: a core takes the SHA-256 of some 1.5 GiB a second."""
    cores = os.cpu_count() or 1
    fitting = min(16, max(4, cores)) if is_network(folder) else 8 if cores >= 16 else 4
    return asked.integer("threads", fitting, low=1, high=MOST_THREADS)
