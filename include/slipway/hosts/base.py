"""A place where commands run, and commands on many of them at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

from slipway.errors import CommandFailed, HostError, SlipwayError
from slipway.shell import Command, Result

AT_ONCE = 16
"""How many hosts are spoken to at the same time."""

T = TypeVar("T")


class Host(Protocol):
    """A machine that runs commands. ``name`` is the host's name in the deployment file."""

    @property
    def name(self) -> str: ...

    def run(self, command: Command) -> Result:
        """Run to the end. Raises HostUnreachable or CommandTimeout; another exit code than 0 is in the result only."""
        ...


def checked(result: Result, *, hint: str = "") -> Result:
    """The result, if the command ended with 0. Raises CommandFailed."""
    if not result.ok:
        raise CommandFailed(result, hint=hint)
    return result


def on_each(hosts: Iterable[Host], work: Callable[[Host], T], *, at_once: int = AT_ONCE) -> dict[str, T]:
    """Do the same work on every host, ``at_once`` of them in parallel; answers by host name.

    All hosts are waited for. Where some failed, the error names each of them with its own reason.
    """
    chosen = list(hosts)
    if len(chosen) == 1:
        return {chosen[0].name: work(chosen[0])}
    futures = _done(chosen, work, at_once)
    _raise_together(futures)
    return {name: future.result() for name, future in futures.items()}


def on_each_fit(hosts: Iterable[Host], work: Callable[[Host], T]) -> tuple[dict[str, T], dict[str, HostError]]:
    """The same, where a host that cannot do it keeps no other back: the answers, and why the other hosts gave none."""
    futures = _done(list(hosts), work, AT_ONCE)
    unfit = {name: error for name, future in futures.items() if isinstance(error := future.exception(), HostError)}
    fit = {name: future for name, future in futures.items() if name not in unfit}
    _raise_together(fit)
    return {name: future.result() for name, future in fit.items()}, unfit


def _done(hosts: list[Host], work: Callable[[Host], T], at_once: int) -> dict[str, Future[T]]:
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        return {host.name: pool.submit(work, host) for host in hosts}


def _raise_together(futures: dict[str, Future[T]]) -> None:
    failed = {name: error for name, future in futures.items() if (error := future.exception())}
    if not failed:
        return
    first = next(iter(failed.values()))
    if len(failed) == 1 or not all(isinstance(error, SlipwayError) for error in failed.values()):
        raise first
    together = HostError(", ".join(failed), "several hosts failed:\n" + "\n".join(map(str, failed.values())))
    together.transient = all(getattr(error, "transient", False) for error in failed.values())
    raise together from first
