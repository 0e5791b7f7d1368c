"""Waiting for a detached job on a host, with its log in the task's log."""

from __future__ import annotations

import time
from collections.abc import Callable

from slipway.commands import agent, kit
from slipway.errors import NotReady, StageError
from slipway.facts.role import last_lines, log_since, parse_role
from slipway.hosts import Host
from slipway.stages.site import Say

LOOK_EVERY_S = 5.0


def finish(
    host: Host,
    root: str,
    name: str,
    timeout_s: float,
    *,
    say: Say,
    hint: str,
    meanwhile: Callable[[], None] | None = None,
) -> None:
    """Wait until a job has ended well, streaming its log. Raises StageError with its last lines, or NotReady.

    ``meanwhile`` is called every five seconds or so.
    """
    deadline = time.monotonic() + timeout_s
    offset = 0
    while True:
        left_s = deadline - time.monotonic()
        state = parse_role(kit.reply(host.run(agent.wait(root, name, max(0.0, min(LOOK_EVERY_S, left_s))))))
        offset = stream_log(host, root, name, offset, say)
        if meanwhile:
            meanwhile()
        if state.state == "done":
            return
        if not state.alive:
            said = last_lines(host, root, name)
            raise StageError(f"[{host.name}] {name}: {state.ended} at step {state.step + 1}\n{said}", hint=hint)
        if left_s <= 0:
            message = f"[{host.name}] {name}: not finished within {timeout_s:g} s; it runs on"
            raise NotReady(message, hint="clear this task to wait for it again")


def stream_log(host: Host, root: str, name: str, offset: int, say: Say) -> int:
    """Say what the role's log holds from ``offset`` (bytes) on; answers the next offset."""
    text, offset = log_since(host, root, name, offset)
    for line in text.splitlines():
        say(f"[{host.name}] {line}")
    return offset
