"""One service of docker-compose.yaml as a real process, in a process namespace of its own: what Docker does to it.

Its command is process 1 there, so whoever kills that kills everything that it has started, as with a container.
"""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
AGAIN_AFTER_S = 0.2
STOP_S = 15.0


@dataclass
class Part:
    """A service that is started again whenever it ends, until it is stopped. Its output lies in ``log``."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    log: Path
    starts: int = 0
    _process: subprocess.Popen[bytes] | None = None
    _stopped: threading.Event = field(default_factory=threading.Event)
    _keeper: threading.Thread | None = None

    def start(self) -> None:
        self._keeper = threading.Thread(target=self._keep, name=self.name, daemon=True)
        self._keeper.start()

    def kill(self) -> None:
        """kill -9, as of a container: nothing that it has started lives on."""
        self._send(signal.SIGKILL)

    def restart(self) -> None:
        """Tell it to end in good order; it is started again."""
        self._send(signal.SIGINT)

    def stop(self) -> None:
        self._stopped.set()
        self._send(signal.SIGTERM)
        if self._keeper:
            self._keeper.join(STOP_S)
        self._send(signal.SIGKILL)
        if self._keeper:
            self._keeper.join(STOP_S)

    def run(self, timeout_s: float = 180) -> None:
        """Run it once, to its end."""
        with self.log.open("ab") as log:
            argv = [*NAMESPACE, *self.command]
            env = dict(self.environment)
            done = subprocess.run(
                argv, env=env, cwd=self.folder, stdout=log, stderr=log, timeout=timeout_s, check=False
            )
        assert done.returncode == 0, f"{self.name}: {self.log.read_text()[-2000:]}"

    def _keep(self) -> None:
        while not self._stopped.is_set():
            with self.log.open("ab") as log:
                argv = [*NAMESPACE, *self.command]
                self._process = subprocess.Popen(
                    argv, env=dict(self.environment), cwd=self.folder, stdout=log, stderr=log, start_new_session=True
                )
            self.starts += 1
            self._process.wait()
            self._stopped.wait(AGAIN_AFTER_S)

    def _send(self, number: signal.Signals) -> None:
        """To process 1 of the namespace, which is the child of ``unshare``."""
        if self._process is None or self._process.poll() is not None:
            return
        try:
            for child in psutil.Process(self._process.pid).children():
                child.send_signal(number)
        except psutil.NoSuchProcess:
            pass
