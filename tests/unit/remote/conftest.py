"""The kit as a host has it, run by a bare interpreter in a process of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest

from slipway.commands import kit
from slipway.remote.agent.verbs import VERBS
from slipway.remote.refusal import Refused
from slipway.remote.request import Request


@dataclass(frozen=True)
class Kit:
    path: Path
    python: str = sys.executable

    def raw(self, program: str, verb: str, stdin: bytes, **options) -> subprocess.CompletedProcess:
        env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **options.pop("env", {})}
        argv = [self.python, str(self.path), program, verb]
        return subprocess.run(argv, input=stdin, env=env, capture_output=True, timeout=60, check=False, **options)

    def ask(self, program: str, verb: str, request: dict, **options) -> dict:
        done = self.raw(program, verb, json.dumps(request).encode(), **options)
        assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
        assert done.stderr == b""
        return json.loads(done.stdout)

    def refusal(self, program: str, verb: str, request: object) -> dict:
        done = self.raw(program, verb, json.dumps(request).encode())
        assert (done.returncode, done.stderr) == (3, b""), (done.returncode, done.stdout, done.stderr)
        return json.loads(done.stdout)


class Agents:
    """Roles below one folder; each test's roles are stopped after it, and must then be gone.

    The agents are processes of the kit, as on a host. Verbs are called here where they need no process of their own.
    """

    def __init__(self, kit: Kit, folder: Path) -> None:
        self.kit = kit
        self.folder = folder

    def request(self, *argvs: list[str], role: str = "demo.job", **wanted) -> dict:
        steps = [{"argv": argv} for argv in argvs]
        defaults = {"digest": "d1", "steps": steps, "stop": {"term_s": 0.3, "group_s": 0.3}}
        return {**self.named(role), **defaults, **wanted}

    def named(self, role: str = "demo.job") -> dict:
        return {"folder": str(self.folder), "role": role}

    def start(self, *argvs: list[str], **wanted) -> dict:
        return self.call("start", self.request(*argvs, **wanted))

    def ask(self, verb: str, role: str = "demo.job", **request) -> dict:
        return self.call(verb, {**self.named(role), **request})

    def call(self, verb: str, request: dict) -> dict:
        with mock.patch.object(sys, "argv", [str(self.kit.path)]):
            return json.loads(json.dumps(VERBS[verb](Request(request))))

    def refusal(self, verb: str, request: dict) -> Refused:
        with pytest.raises(Refused) as refused:
            self.call(verb, request)
        return refused.value

    def status(self, role: str = "demo.job") -> dict:
        return self.ask("status", role)

    def ended(self, role: str = "demo.job") -> dict:
        """Its status once it has ended."""
        status = self.ask("wait", role, seconds=15)
        assert not status["alive"], status
        return status

    def reached(self, *states: str, role: str = "demo.job", restarts: int = 0) -> dict:
        """Its status once it is in one of these states and was started again so often."""
        until(lambda: (s := self.status(role))["state"] in states and len(s["restarts"]) == restarts)
        return self.status(role)

    def log(self, role: str = "demo.job") -> str:
        return (self.folder / role / "log").read_text()

    def stop_all(self) -> None:
        for role in self.call("list", {"folder": str(self.folder)})["roles"]:
            assert self.ask("stop", role["role"])["stopped"]


def until(true, seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def kit_program(tmp_path_factory) -> Kit:
    path = tmp_path_factory.mktemp("kit") / "kit.pyz"
    path.write_bytes(kit.archive())
    return Kit(path)


@pytest.fixture
def agents(kit_program, tmp_path):
    agents = Agents(kit_program, tmp_path / "agents")
    yield agents
    agents.stop_all()


@pytest.fixture
def eventually():
    return until


@pytest.fixture
def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return trial.getsockname()[1]


@pytest.fixture
def alive():
    """Whether a process runs: it is there, and no zombie."""

    def is_alive(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
        except (FileNotFoundError, ProcessLookupError):
            return False

    return is_alive
