"""docker-compose.yaml with the profile `celery`, without Docker: its commands and environment, paths and ports mapped.

What the images do is done here: PostgreSQL's first start, and an ``AIRFLOW_HOME``.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from production.part import Part
from testbed.compose import ROOT, Compose, load_compose

from slipway.embedded import AirflowClient, Login, open_client
from slipway.errors import AirflowUnreachable
from slipway.store import Store, open_store

POSTGRES = Path("/usr/lib/postgresql/15/bin")
LASTING = ("postgres", "redis", "api-server", "scheduler", "dag-processor", "triggerer", "worker")
"""In the order in which ``depends_on`` lets them start."""
UP_WITHIN_S = 120.0


@dataclass
class Shape:
    """A team's installation in ``folder``."""

    folder: Path
    compose: Compose
    ports: dict[str, int]
    parts: dict[str, Part] = field(default_factory=dict)

    @property
    def secrets(self) -> Path:
        return self.folder / "secrets"

    @property
    def deployments(self) -> Path:
        return self.folder / "project" / "include" / "deployments"

    @property
    def login(self) -> Login:
        password = json.loads((self.secrets / "airflow_passwords.json").read_text())["admin"]
        return Login(f"http://127.0.0.1:{self.ports['api-server']}", "admin", password)

    @contextmanager
    def client(self) -> Iterator[AirflowClient]:
        with open_client(self.login) as client:
            yield client

    @property
    def store_url(self) -> str:
        password = (self.secrets / "postgres_password").read_text()
        return f"postgresql+psycopg://airflow:{password}@127.0.0.1:{self.ports['postgres']}/slipway"

    @contextmanager
    def store(self) -> Iterator[Store]:
        with open_store(self.store_url) as store:
            yield store

    def here(self, text: str) -> str:
        """What a text of the file is on this machine."""
        for there, here in {
            "@postgres/": f"@127.0.0.1:{self.ports['postgres']}/",
            "@redis:6379": f"@127.0.0.1:{self.ports['redis']}",
            "http://api-server:8080": f"http://127.0.0.1:{self.ports['api-server']}",
            "http://127.0.0.1:8080": f"http://127.0.0.1:{self.ports['api-server']}",
            "/opt/slipway": str(self.folder / "project"),
            "/run/secrets": str(self.secrets),
            "/var/lib/airflow": str(self.folder / "airflow"),
            "/tmp/airflow-worker.pid": str(self.folder / "worker.pid"),
            "--dir /data": f"--bind 127.0.0.1 --port {self.ports['redis']} --dir {self.folder / 'redis'}",
        }.items():
            text = text.replace(there, here)
        return text

    def part(self, name: str) -> Part:
        service = self.compose.services[name]
        command = [self.here(word) for word in service["command"]]
        return Part(name, command, self.environment(service), self.folder / "airflow", self.folder / f"{name}.log")

    def environment(self, service: dict[str, Any]) -> dict[str, str]:
        """The service's own, and what its image gives."""
        given = {name: self.here(value) for name, value in service.get("environment", {}).items()}
        if "AIRFLOW__API__PORT" in given:
            given |= {"AIRFLOW__API__PORT": str(self.ports["api-server"]), "AIRFLOW__API__HOST": "127.0.0.1"}
        programs = f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}"
        home = {"HOME": str(self.folder / "home"), "AIRFLOW_HOME": str(self.folder / "airflow")}
        return {"PATH": programs, "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1", **home, **given}

    def healthy(self, name: str) -> bool:
        """The service's own health check."""
        kind, *words = (self.here(word) for word in self.compose.services[name]["healthcheck"]["test"])
        argv = ["sh", "-c", *words] if kind == "CMD-SHELL" else words
        env = self.environment(self.compose.services[name])
        if name == "postgres":
            argv.append(f"--port={self.ports['postgres']}")
            env["PATH"] = f"{POSTGRES}:{env['PATH']}"
        if name == "redis":
            argv = [word.replace("redis-cli", f"redis-cli -p {self.ports['redis']}") for word in argv]
        return subprocess.run(argv, env=env, capture_output=True, timeout=60, check=False).returncode == 0

    def start(self, name: str) -> None:
        self.parts[name] = _postgres(self) if name == "postgres" else self.part(name)
        self.parts[name].start()

    def stop(self) -> None:
        for part in reversed(self.parts.values()):
            part.stop()

    def processes(self) -> list[str]:
        """Command lines of every process that has to do with this folder."""
        found = []
        for place in Path("/proc").iterdir():
            if place.name.isdigit() and int(place.name) != os.getpid():
                try:
                    text = (place / "cmdline").read_bytes() + (place / "environ").read_bytes()
                except OSError:
                    continue
                if str(self.folder).encode() in text:
                    found.append((place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        return found


@contextmanager
def open_shape(folder: Path, name: str, deployment: str) -> Iterator[Shape]:
    """Everything up and healthy, with one deployment file; all of it is stopped at the end."""
    ports = dict(zip(("postgres", "redis", "api-server"), _free_ports(3), strict=True))
    shape = Shape(folder, load_compose({"SLIPWAY_EXECUTOR": "CeleryExecutor"}), ports)
    _lay_out(shape)
    (shape.deployments / f"{name}.yaml").write_text(deployment)
    try:
        for each in ("postgres", "redis"):
            shape.start(each)
            wait_for(lambda each=each: shape.healthy(each), each)
        _make_databases(shape)
        shape.part("airflow-init").run()
        for each in LASTING[2:]:
            shape.start(each)
        wait_for(lambda: _all_alive(shape), "Airflow")
        yield shape
    finally:
        shape.stop()


def wait_for(reached: Callable[[], bool], what: str, within_s: float = UP_WITHIN_S) -> None:
    deadline = time.monotonic() + within_s
    while not reached():
        assert time.monotonic() < deadline, f"{what} is not so after {within_s:.0f} s"
        time.sleep(0.5)


def _all_alive(shape: Shape) -> bool:
    with shape.client() as client:
        try:
            return not client.health().sick
        except AirflowUnreachable:
            return False


def _lay_out(shape: Shape) -> None:
    for name in ("airflow", "home", "redis"):
        (shape.folder / name).mkdir()
    for name in ("dags", "plugins", "include/environments"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, shape.folder / "project" / name, ignore=ignored)
    shape.deployments.mkdir()
    made = ["make", "--silent", "secrets", f"STATE={shape.folder}"]
    subprocess.run(made, cwd=ROOT, check=True, capture_output=True, timeout=60)


def _postgres(shape: Shape) -> Part:
    """As the image's entry point makes it: a cluster of the user ``airflow`` with the password of the secret."""
    account, place = pwd.getpwnam("postgres"), shape.folder / "postgres"
    place.mkdir()
    shutil.copy(shape.secrets / "postgres_password", place / "password")
    for each in (place, place / "password"):
        os.chown(each, account.pw_uid, account.pw_gid)
    initdb = [str(POSTGRES / "initdb"), "-D", str(place / "data"), "--auth=scram-sha-256", "--encoding=UTF8"]
    initdb += [f"--username={shape.compose.services['postgres']['environment']['POSTGRES_USER']}"]
    as_user = {"user": account.pw_uid, "group": account.pw_gid, "cwd": place}
    subprocess.run([*initdb, f"--pwfile={place / 'password'}"], check=True, capture_output=True, timeout=60, **as_user)
    settings = {"port": shape.ports["postgres"], "listen_addresses": "127.0.0.1", "unix_socket_directories": place}
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    user = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    command = [*user, str(POSTGRES / "postgres"), "-D", str(place / "data"), *options]
    return Part("postgres", command, {"LANG": "C.UTF-8"}, place, shape.folder / "postgres.log")


def _make_databases(shape: Shape) -> None:
    import psycopg

    password = (shape.secrets / "postgres_password").read_text()
    place = f"host=127.0.0.1 port={shape.ports['postgres']} user=airflow password={password} dbname=postgres"
    with psycopg.connect(place, autocommit=True) as connection:
        connection.execute(
            f"CREATE DATABASE {shape.compose.services['postgres']['environment']['POSTGRES_DB']}".encode()
        )
        connection.execute(shape.compose.content["configs"]["create-store"]["content"].encode())


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
