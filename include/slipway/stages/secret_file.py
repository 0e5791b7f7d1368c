"""What a program on a host must know and nobody else: a file of mode 0600 there, compared without being read back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from slipway.commands import kit
from slipway.hosts import Host, on_each
from slipway.shell import Command

PRIVATE = 0o600


def write(root: str, path: str, text: str) -> Command:
    return kit.call(root, "files", "write", {"path": path, "text": text, "mode": PRIVATE}, secret=True)


def remove(root: str, path: str) -> Command:
    return kit.call(root, "files", "remove", {"path": path, "below": path.rpartition("/")[0]})


def lies(host: Host, root: str, path: str, text: str) -> bool:
    """Whether the file holds just this; with an empty text, whether there is none."""
    asked = kit.call(root, "files", "compare", {"path": path, "text": text, "mode": PRIVATE}, secret=True)
    answer = kit.reply(host.run(asked))
    return bool(answer["same"] if text else not answer["exists"])


@contextmanager
def secret_there(root: str, hosts: Iterable[Host], path: str, text: str) -> Iterator[None]:
    """The file lies on each host for as long as this lasts."""
    places = list(hosts)
    try:
        on_each(places, lambda host: kit.reply(host.run(write(root, path, text))))
        yield
    finally:
        on_each(places, lambda host: kit.reply(host.run(remove(root, path))))
