"""Two hosts, or more, on this one machine, to rehearse what runs over SSH.

    python3 hosts.py up [--count 2] [--folder DIR]      sets up what is missing; prints the Airflow connections as JSON
                                                        and writes them to DIR/connections.json
    python3 hosts.py down [--folder DIR]                ends and removes what ``up`` has made

A host is a network namespace ``slipway-h1``, ``slipway-h2`` … with its own address, loopback and ports, a real sshd on
port 22, and its own ``/srv``: the same path on each host, another disk. All else is shared: the rest of the file
system, processor, memory, process numbers, and /dev/shm, which vLLM's tensor parallel on CPU needs across hosts. The
hosts reach each other and this machine (10.77.0.254) over the bridge ``slipway-br0``, and nothing beyond it. Needs
root, Linux, ``ip`` and ``sshd``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

BRIDGE = "slipway-br0"
NETWORK = "10.77.0"
MACHINE = f"{NETWORK}.254"
LARGEST_COUNT = 16
DISK = "/srv"
"""The folder that each host has to itself."""
WAIT_S = 10.0
DEFAULT_FOLDER = Path(__file__).resolve().parents[2] / ".slipway" / "hosts"

SSHD_CONFIG = """\
Port 22
ListenAddress {address}
HostKey {folder}/host_key
AuthorizedKeysFile {bed}/authorized_keys
PidFile none
StrictModes no
UsePAM no
UseDNS no
PasswordAuthentication no
PermitRootLogin prohibit-password
MaxSessions 64
MaxStartups 64
"""


class BedError(Exception):
    """The test bed cannot be set up or taken down; says why, and what to do."""


@dataclass(frozen=True)
class Host:
    """One host of the bed: ``number`` from 1 on; ``bed`` is the folder of the whole bed."""

    bed: Path
    number: int

    @property
    def name(self) -> str:
        return f"slipway-h{self.number}"

    @property
    def address(self) -> str:
        return f"{NETWORK}.{self.number}"

    @property
    def folder(self) -> Path:
        return self.bed / self.name

    @property
    def disk(self) -> Path:
        """What the host sees as its ``/srv``."""
        return self.folder / "srv"

    @property
    def log(self) -> Path:
        return self.folder / "sshd.log"

    @property
    def record(self) -> Path:
        """The sshd that runs: process id and start time."""
        return self.folder / "sshd.pid"

    @property
    def port_name(self) -> str:
        """The bridge's end of the host's cable."""
        return f"slipway-p{self.number}"


def up(bed: Path, count: int) -> dict[str, object]:
    """Set up what is missing of ``count`` hosts. Answers the hosts, the Airflow connections, and what was made."""
    hosts = [Host(bed, number) for number in range(1, count + 1)]
    for host in hosts:
        if _has_namespace(host) and not host.folder.exists():
            raise BedError(f"{host.name} was made with another --folder: take it down with that one first")
    bed.mkdir(mode=0o700, parents=True, exist_ok=True)
    _make_key(bed / "user_key")
    shutil.copyfile(bed / "user_key.pub", bed / "authorized_keys")
    _make_bridge()
    made = [host.name for host in hosts if _set_up(host)]
    (bed / "known_hosts").write_text("".join(f"{host.address} {_host_key(host)}\n" for host in hosts))
    connections = {host.name.replace("-", "_"): _connection(host) for host in hosts}
    (bed / "connections.json").write_text(json.dumps(connections, indent=2))
    return {
        "made": made,
        "disk": DISK,
        "known_hosts": str(bed / "known_hosts"),
        "hosts": {host.name: {"address": host.address, "sshd_pid": _sshd(host)} for host in hosts},
        "connections": connections,
        "environment": {f"AIRFLOW_CONN_{name.upper()}": json.dumps(each) for name, each in connections.items()},
    }


def down(bed: Path) -> dict[str, object]:
    """Remove the bed. Raises BedError where somebody else's processes still run on a host: they are left alone."""
    hosts = [Host(bed, number) for number in range(1, LARGEST_COUNT + 1) if Host(bed, number).folder.exists()]
    busy = {host.name: others for host in hosts if (others := _others(host))}
    if busy:
        told = "\n".join(f"  {name}: {len(commands)} processes, first {commands[0]}" for name, commands in busy.items())
        raise BedError(f"these still run on the hosts, tear their deployment down first:\n{told}")
    for host in hosts:
        _end_sshd(host)
        _ip("link", "delete", host.port_name, missing_ok=True)
        _ip("netns", "delete", host.name, missing_ok=True)
        shutil.rmtree(host.folder)
    if hosts and not _ports_of_bridge():
        _ip("link", "delete", BRIDGE, missing_ok=True)
    if bed.exists():
        for name in ("user_key", "user_key.pub", "authorized_keys", "known_hosts", "connections.json"):
            (bed / name).unlink(missing_ok=True)
        if not any(bed.iterdir()):
            bed.rmdir()
    return {"removed": [host.name for host in hosts]}


def _make_bridge() -> None:
    if _is_link(BRIDGE):
        return
    _ip("link", "add", BRIDGE, "type", "bridge")
    _ip("addr", "add", f"{MACHINE}/24", "dev", BRIDGE)
    _ip("link", "set", BRIDGE, "up")


def _set_up(host: Host) -> bool:
    """Whether anything had to be done for it."""
    fresh = not _has_namespace(host)
    if fresh:
        _make_namespace(host)
    host.disk.mkdir(parents=True, exist_ok=True)
    _make_key(host.folder / "host_key")
    if _sshd(host):
        return fresh
    _start_sshd(host)
    return True


def _make_namespace(host: Host) -> None:
    if _is_link(host.port_name):
        _ip("link", "delete", host.port_name)
    host.folder.mkdir(exist_ok=True)
    _ip("netns", "add", host.name)
    _ip("link", "add", host.port_name, "type", "veth", "peer", "name", "eth0", "netns", host.name)
    _ip("link", "set", host.port_name, "master", BRIDGE, "up")
    _ip("-n", host.name, "addr", "add", f"{host.address}/24", "dev", "eth0")
    for link in ("lo", "eth0"):
        _ip("-n", host.name, "link", "set", link, "up")


def _start_sshd(host: Host) -> None:
    """Start it in the host's namespace, and in a mount namespace of its own, which ``ip netns exec`` makes."""
    program = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if not program:
        raise BedError("there is no sshd here: install openssh-server")
    config = host.folder / "sshd_config"
    config.write_text(SSHD_CONFIG.format(address=host.address, folder=host.folder, bed=host.bed))
    Path("/run/sshd").mkdir(exist_ok=True)
    mounted = ["sh", "-c", 'mount --bind "$0" "$1" && shift && exec "$@"', str(host.disk), DISK]
    argv = ["ip", "netns", "exec", host.name, *mounted, program, "-D", "-E", str(host.log), "-f", str(config)]
    nothing = subprocess.DEVNULL
    process = subprocess.Popen(argv, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True, cwd="/")
    host.record.write_text(f"{process.pid} {_began(process.pid)}\n")
    _wait(lambda: process.poll() is not None or _listens(host))
    if process.poll() is not None or not _listens(host):
        said = host.log.read_text() if host.log.exists() else f"exit code {process.poll()}"
        raise BedError(f"sshd of {host.name} does not listen on {host.address}: {said}")


def _end_sshd(host: Host) -> None:
    """End the sshd that was recorded, and those that it started for connections."""
    pid = _sshd(host)
    if pid is None:
        return
    for each in [pid, *_connections_of(pid)]:
        os.kill(each, signal.SIGTERM)
    _wait(lambda: _sshd(host) is None)
    if _sshd(host):
        raise BedError(f"sshd of {host.name} (pid {pid}) does not end")


def _sshd(host: Host) -> int | None:
    """The sshd that was recorded, if this very process still runs."""
    try:
        pid, began = map(int, host.record.read_text().split())
    except (OSError, ValueError):
        return None
    return pid if _began(pid) == began else None


def _connections_of(sshd: int) -> list[int]:
    return [pid for pid in _pids() if (stat := _stat(pid)) and int(stat[1]) == sshd]


def _others(host: Host) -> list[str]:
    """What runs on the host and is not its sshd, nor one of its connections."""
    pids = map(int, _ip("netns", "pids", host.name, missing_ok=True).split())
    lines = {pid: _command_line(pid) for pid in pids}
    return [f"pid {pid}: {line[:120]}" for pid, line in lines.items() if line and not line.startswith("sshd")]


def _command_line(pid: int) -> str:
    """As ``ps`` shows it; sshd writes a title of its own there. Empty for one that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def _pids() -> Iterator[int]:
    return (int(place.name) for place in Path("/proc").iterdir() if place.name.isdigit())


def _stat(pid: int) -> list[str]:
    """The fields of ``/proc/PID/stat`` behind the program's name: state, parent, … Empty for one that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
    return [] if fields[0] == "Z" else fields


def _began(pid: int) -> int | None:
    stat = _stat(pid)
    return int(stat[19]) if stat else None


def _listens(host: Host) -> bool:
    return bool(_run("ip", "netns", "exec", host.name, "ss", "-Hltn", "sport", "=", "22").strip())


def _make_key(path: Path) -> None:
    if not path.exists():
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "slipway test bed", "-f", str(path))


def _host_key(host: Host) -> str:
    return " ".join((host.folder / "host_key.pub").read_text().split()[:2])


def _connection(host: Host) -> dict[str, object]:
    """As Airflow writes a connection in JSON."""
    extra = {"key_file": str(host.bed / "user_key"), "host_key": _host_key(host)}
    return {"conn_type": "ssh", "host": host.address, "login": "root", "port": 22, "extra": extra}


def _has_namespace(host: Host) -> bool:
    return Path("/run/netns", host.name).exists()


def _is_link(name: str) -> bool:
    return Path("/sys/class/net", name).exists()


def _ports_of_bridge() -> list[str]:
    place = Path("/sys/class/net", BRIDGE, "brif")
    return [port.name for port in place.iterdir()] if place.exists() else []


def _wait(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not reached() and time.monotonic() < deadline:
        time.sleep(0.05)


def _ip(*words: str, missing_ok: bool = False) -> str:
    try:
        return _run("ip", *words)
    except BedError as error:
        if missing_ok and ("No such file" in str(error) or "Cannot find device" in str(error)):
            return ""
        raise


def _run(*argv: str) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    except OSError as error:
        raise BedError(f"{argv[0]}: {error.strerror}: install it") from error
    if done.returncode:
        raise BedError(f"{' '.join(argv)}: exit code {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Hosts to rehearse with, on this machine.")
    parser.add_argument("verb", choices=("up", "down"))
    parser.add_argument("--count", type=int, default=2, choices=range(1, LARGEST_COUNT + 1), metavar="N")
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER, metavar="DIR")
    asked = parser.parse_args(argv)
    if os.geteuid() != 0:
        print("network namespaces need root: run this as root", file=sys.stderr)
        return 2
    bed = asked.folder.resolve()
    try:
        answer = up(bed, asked.count) if asked.verb == "up" else down(bed)
    except BedError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(answer, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
