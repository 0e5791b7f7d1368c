"""A command line and how it ended: the only place that quotes.

Everything that Slipway runs, here or on a host, is a :class:`Command`: an argument list, never a string for a shell.
Where a string is needed after all (to send it over SSH, or to show it to a person), :meth:`Command.line` quotes it.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

HIDDEN = "********"


@dataclass(frozen=True)
class Command:
    """One program call: its arguments, its environment, what it reads, and how long it may take.

    ``env`` is added to the login environment of the host, never a replacement for it. ``timeout_s`` bounds the call in
    seconds. A ``secret`` command's standard input is never shown.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    stdin: bytes = b""
    timeout_s: float = 60.0
    secret: bool = False

    def line(self) -> str:
        """The command as one line for a POSIX shell, each word quoted; standard input is not part of it."""
        words = [f"{name}={shlex.quote(value)}" for name, value in sorted(self.env.items())]
        call = " ".join([*(["env", *words] if words else []), *map(shlex.quote, self.argv)])
        return f"cd {shlex.quote(self.cwd)} && {call}" if self.cwd else call

    def text(self) -> str:
        """The command as a person would type it: its line, with standard input as a here-document."""
        if not self.stdin:
            return self.line()
        if self.secret:
            return f"{self.line()} <<'EOF'\n{HIDDEN}\nEOF"
        try:
            body = self.stdin.decode()
        except UnicodeDecodeError:
            return f"{self.line()}  # {len(self.stdin)} bytes on standard input"
        return f"{self.line()} <<'EOF'\n{body.rstrip()}\nEOF"


@dataclass(frozen=True)
class Result:
    """How a command ended on a host; ``seconds`` is its wall time there."""

    host: str
    command: Command
    returncode: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def ok(self) -> bool:
        return self.returncode == 0

    def last_lines(self, count: int = 12) -> str:
        """The end of what it said: standard error, or standard output where that is empty."""
        said = self.stderr.strip() or self.stdout.strip()
        return "\n".join(said.splitlines()[-count:])
