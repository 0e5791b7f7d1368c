"""Every error that Slipway raises on purpose.

::

    SlipwayError
    ├── SpecError            the deployment file or the conf of a run is wrong
    ├── HostError            something about one host
    │   ├── HostUnreachable  no connection, or it was lost                      (transient)
    │   ├── CommandFailed    a command ended with a code that is not 0   (transient by a signal)
    │   ├── CommandTimeout   a command took longer than it may                  (transient)
    │   └── HostUnfit        a host lacks what the deployment needs
    ├── StageError           a stage cannot reach its goal
    │   ├── NotConverged     acted, and the host still is not as wanted          (transient)
    │   ├── ServerDied       a process that we started ended unasked
    │   ├── NotReady         a wait ran out of its time
    │   ├── NotPromoted      a new revision has not earned its place
    │   ├── NotRestored      the last good revision could not be put back    (as its cause)
    │   ├── NotPlaced        Ray has no room for the server, with all its GPUs there
    │   └── ServerWedged     the server is up, and answers no completion
    ├── SmokeFailed          the served model answers, but not as it must
    ├── LoadTestFailed       the load generator could not do its work
    ├── StoreError           the results database cannot be used                (transient)
    │   └── LeaseHeld        another run holds a host                           (transient)
    ├── AirflowUnreachable   Airflow's API gives no answer                      (transient)
    └── AirflowRefused       Airflow's API said no
        └── RunExists        a run with this id is there already

Each class says by ``transient`` whether doing the same again can help. Every message says what is wrong, where, and
what to do next.
"""

from __future__ import annotations

from slipway.shell import Result


class SlipwayError(Exception):
    """The root. ``transient`` says whether a retry can help, ``hint`` what to do next.

    ``explanation`` is what was found out about it afterwards.
    """

    transient = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.explanation = ""

    def __str__(self) -> str:
        message = super().__str__()
        told = f"{message}\n  next: {self.hint}" if self.hint else message
        return f"{told}\n{self.explanation}" if self.explanation else told


class SpecError(SlipwayError):
    """A deployment file, or the conf of a run, is wrong; every fault is listed with the field's name."""


class HostError(SlipwayError):
    """Something about one host; ``host`` is its name in the deployment file."""

    def __init__(self, host: str, message: str, *, hint: str = "") -> None:
        super().__init__(f"[{host}] {message}", hint=hint)
        self.host = host


class HostUnreachable(HostError):
    transient = True


class CommandFailed(HostError):
    """A command ended with a code that is not 0; carries its :class:`~slipway.shell.Result`.

    One that a signal ended (then the code is negative) did not fail by itself: the same again may help.
    """

    def __init__(self, result: Result, *, hint: str = "") -> None:
        shown = result.command.line()
        shown = shown if len(shown) <= 300 else f"{shown[:297]}..."
        message = f"exit code {result.returncode} from: {shown}"
        said = result.last_lines()
        super().__init__(result.host, f"{message}\n{said}" if said else message, hint=hint)
        self.result = result
        self.transient = result.returncode < 0


class CommandTimeout(HostError):
    transient = True


class HostUnfit(HostError):
    pass


class StageError(SlipwayError):
    pass


class NotConverged(StageError):
    transient = True


class ServerDied(StageError):
    pass


class NotReady(StageError):
    pass


class NotPromoted(StageError):
    """A new revision has not earned its place."""


class NotRestored(StageError):
    """The last good revision could not be put back; a retry helps where it helps against the cause."""

    def __init__(self, message: str, cause: SlipwayError) -> None:
        super().__init__(message, hint=cause.hint)
        self.transient = cause.transient


class NotPlaced(StageError):
    pass


class ServerWedged(StageError):
    pass


class SmokeFailed(SlipwayError):
    pass


class LoadTestFailed(SlipwayError):
    pass


class StoreError(SlipwayError):
    transient = True


class LeaseHeld(StoreError):
    """A host is in another run's hands; the message names the holder. It may be free later."""


class AirflowUnreachable(SlipwayError):
    """Airflow's API gives no answer, or one that only says that it is not well."""

    transient = True


class AirflowRefused(SlipwayError):
    """Airflow's API said no; ``status`` is the HTTP status."""

    def __init__(self, status: int, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


class RunExists(AirflowRefused):
    """A run with this id is there already: a repeated request, which has started nothing."""
