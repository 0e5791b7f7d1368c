"""Where faults are provoked: the agent of a real host runs the program, and its log is what there is to read."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from slipway.commands import agent, kit
from slipway.commands.agent import Role
from slipway.facts.role import RoleState, log_tail, role
from slipway.hosts import LocalHost
from slipway.shell import Command
from slipway.stages.site import prepare

ROOT = Path(__file__).parents[2]
MODEL = ROOT / ".slipway" / "shared" / "tiny-qwen3"
LOG_BYTES = 1 << 20


@dataclass(frozen=True)
class Bed:
    """One fault's place on this machine: a folder below ``root``, and some ports of its own from ``port`` on."""

    root: Path
    python: str
    name: str
    port: int
    host: LocalHost = field(default_factory=lambda: LocalHost("here"))

    @property
    def folder(self) -> Path:
        return self.root / self.name

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def closed(self) -> Path:
        """A folder in which its owner may not write."""
        folder = self.short / "closed"
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o500)
        return folder

    @property
    def short(self) -> Path:
        """Ray's sockets need a short path."""
        return Path(f"/tmp/slf-{os.getpid()}-{self.port}")

    def make(self) -> None:
        prepare(self.host, str(self.root))
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(MODEL, self.model, dirs_exist_ok=True)

    def start(self, program: str, command: Command) -> None:
        role = Role(f"{self.name}.{program}", (command,), server=True)
        kit.reply(self.host.run(agent.start(str(self.root), role)))

    def state(self, program: str) -> RoleState:
        return role(self.host, str(self.root), f"{self.name}.{program}")

    def log(self, program: str) -> str:
        return log_tail(self.host, str(self.root), f"{self.name}.{program}", LOG_BYTES)

    def wait(self, true: Callable[[], bool], seconds: float = 150) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, f"{self.name}: waited {seconds} s in vain"
            time.sleep(0.25)

    def wait_for_end(self, program: str, seconds: float = 150) -> RoleState:
        self.wait(lambda: not self.state(program).alive, seconds)
        return self.state(program)

    def wait_for_log(self, program: str, text: str) -> None:
        self.wait(lambda: text in self.log(program))

    def kill(self, program: str, title: str) -> None:
        """kill -9 of those processes of the role whose command line or name holds ``title``."""
        session = self.state(program).session
        found = [pid for pid in _pids() if _session(pid) == session and title in _title(pid)]
        assert found, f"no process {title!r} in session {session}"
        for pid in found:
            os.kill(pid, signal.SIGKILL)

    @contextlib.contextmanager
    def opened(self) -> Iterator[Bed]:
        """Made, and at the end with nothing left of it."""
        self.make()
        try:
            yield self
        finally:
            for state in kit.reply(self.host.run(agent.roles(str(self.root))))["roles"]:
                if state["role"].startswith(f"{self.name}."):
                    self.host.run(agent.stop(str(self.root), state["role"]))
            if self.short.is_mount():
                subprocess.run(["umount", "--lazy", self.short], check=True)
            shutil.rmtree(self.short, ignore_errors=True)


def vllm(bed: Bed, *words: str, env: dict[str, str] | None = None, model: str = "") -> Command:
    """The server as the demo runs it, with some words more."""
    own = {"model": model or bed.model, "served-model-name": "tiny", "host": "127.0.0.1", "port": bed.port}
    own |= {"dtype": "bfloat16", "max-model-len": 512, "max-num-seqs": 4, "load-format": "safetensors"}
    argv = [bed.python, "-m", "vllm.entrypoints.openai.api_server", "--enforce-eager"]
    argv += [f"--{name}={value}" for name, value in own.items()]
    variables = {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    return Command((*argv, *words), env={**variables, "GLOO_SOCKET_IFNAME": "lo", **(env or {})})


def ray(bed: Bed, *words: str, env: dict[str, str] | None = None, offset: int = 0, head: bool = True) -> Command:
    """Ray's head in the foreground, with ports of this fault alone."""
    first = bed.port + offset
    flags = {"num-gpus": 1, "num-cpus": 1, "object-store-memory": 83886080, "node-ip-address": "127.0.0.2"}
    flags |= {"temp-dir": f"{bed.short}/{offset}", "min-worker-port": first + 30, "max-worker-port": first + 45}
    flags |= {
        "node-manager-port": first + 1,
        "object-manager-port": first + 2,
        "dashboard-agent-listen-port": first + 3,
    }
    if head:
        flags |= {"port": first, "include-dashboard": "false", "ray-client-server-port": first + 4}
    argv = [bed.python, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
    argv += [*(["--head"] if head else []), *(f"--{name}={value}" for name, value in flags.items())]
    return Command((*argv, *words), env={"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", **(env or {})})


def under(command: Command, *argv: str) -> Command:
    """The command as another program starts it: ``prlimit``, ``setpriv``, ``unshare``."""
    return Command((*argv, *command.argv), env=command.env)


def mounted(command: Command, place: str, size: str) -> Command:
    """The command with a small disk of its own at ``place``, gone with it."""
    script = 'mkdir -p "$1" && mount -t tmpfs -o "size=$2,mode=1777" tmpfs "$1" && shift 2 && exec "$@"'
    return under(command, "unshare", "--mount", "sh", "-c", script, "sh", place, size)


def scrubbed(log: str, bed: Bed) -> str:
    """The log without the paths and numbers of the machine that it was captured on."""
    environment = str(Path(bed.python).parents[1])
    for path, name in ((environment, "/srv/env"), (str(Path(environment).resolve()), "/srv/env")):
        log = log.replace(path, name)
    log = log.replace(str(bed.model), "/srv/model").replace(str(bed.folder), "/srv/fault")
    log = (
        log.replace(str(bed.short), "/srv/ray")
        .replace(str(bed.root), "/srv/slipway")
        .replace(str(ROOT), "/srv/project")
    )
    log = re.sub(r"/(?:opt|usr|root|home)/\S*?/lib/python3", "/usr/lib/python3", log)
    return log.replace(os.uname().nodename, "host")


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def _title(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""
