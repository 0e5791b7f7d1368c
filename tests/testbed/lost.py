"""A host that cannot be reached, as the hosts' code sees it."""

from __future__ import annotations

from typing import NoReturn

from slipway.hosts import SSHHost


def lost_host(name: str, error: Exception) -> SSHHost:
    """Its connection ends with ``error`` each time that it is tried."""

    def connect() -> NoReturn:
        raise error

    return SSHHost(name, connect)
