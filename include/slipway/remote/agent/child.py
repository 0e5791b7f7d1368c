"""Start a process in a session of its own, in two strokes: it exists, is written down, and only then runs its program.

An agent that dies in between leaves nothing: the process sees the gate close, and ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from slipway.remote.agent.marks import NAME, own_mark
from slipway.remote.agent.wanted import Step
from slipway.remote.secret_variables import secret_variables


@dataclass(frozen=True)
class Held:
    """A process that waits at its gate; its id is that of its session, too."""

    pid: int
    gate: int
    fault: int

    def release(self) -> str:
        """Let it run its program. Returns why it could not, or an empty text."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self.gate, b"!")
        os.close(self.gate)
        with os.fdopen(self.fault, "rb") as said:
            return said.read().decode(errors="replace")

    def abandon(self) -> None:
        """Let it end without having run anything."""
        os.close(self.gate)
        os.close(self.fault)


def hold(step: Step, env: Mapping[bytes, bytes], cwd: str, log: int) -> Held:
    """Fork a process for ``step`` whose output goes to the descriptor ``log``; it waits for :meth:`Held.release`."""
    gate_out, gate_in = os.pipe()
    fault_out, fault_in = os.pipe()
    with _open_input(step.stdin) as stdin:
        pid = os.fork()
        if pid == 0:
            os.close(gate_in)
            _become(step, env, cwd, (stdin, log), gate_out, fault_in)
    os.close(gate_out)
    os.close(fault_in)
    return Held(pid, gate_in, fault_out)


def environment(step: Step, env_file: str | None) -> dict[bytes, bytes]:
    """The agent's own variables, then the step's, then the secret ones of ``env_file``. Raises Refused, OSError."""
    added = {**step.env, **(secret_variables(Path(env_file)) if env_file else {})}
    mark = {NAME: own_mark()}
    return {**os.environb, **{name.encode(): value.encode() for name, value in {**added, **mark}.items()}}


@contextlib.contextmanager
def _open_input(text: str) -> Iterator[int]:
    with tempfile.TemporaryFile() if text else Path("/dev/null").open("rb") as file:
        if text:
            file.write(text.encode())
            file.seek(0)
        yield file.fileno()


def _become(step: Step, env: Mapping[bytes, bytes], cwd: str, io: tuple[int, int], gate: int, fault: int) -> NoReturn:
    try:
        os.setsid()
        if os.read(gate, 1):
            _clear_signals()
            os.dup2(io[0], 0)
            os.dup2(io[1], 1)
            os.dup2(io[1], 2)
            os.chdir(os.fsencode(step.cwd or cwd))
            argv = [word.encode() for word in step.argv]
            os.execvpe(argv[0], argv, env)  # noqa: S606 - no shell is wanted
    except (OSError, ValueError) as error:
        os.write(fault, _fault(step, cwd, error).encode())
    finally:
        os._exit(127)


def _fault(step: Step, cwd: str, error: Exception) -> str:
    why = getattr(error, "strerror", None) or str(error)
    folder = step.cwd or cwd
    if not Path(folder).is_dir():
        return f"cannot start {step.argv[0]!r} in the folder {folder!r}: {why}"
    return f"cannot start {step.argv[0]!r}: {why}"


def _clear_signals() -> None:
    """Give the program the signals of a fresh login: the agent blocks some, and Python ignores others."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
