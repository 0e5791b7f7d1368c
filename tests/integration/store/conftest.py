"""The store's tests on PostgreSQL: a private cluster on a Unix socket, without a port, in a folder of its own.

Most test files take theirs from ``tests/unit/store``.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from slipway.store import schema

FAST = {"fsync": "off", "full_page_writes": "off", "listen_addresses": "''"}
NAMES = count()


@dataclass(frozen=True)
class Cluster:
    """A PostgreSQL of our own. It refuses to run as root, so root hands it to another user."""

    programs: Path
    folder: Path
    account: pwd.struct_passwd

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://{self.account.pw_name}@/{database}?host={self.folder}"

    def run(self, program: str, *arguments: str) -> None:
        command = [str(self.programs / program), "-D", str(self.folder / "data"), *arguments]
        user = self.account.pw_uid if os.geteuid() == 0 else None
        with (self.folder / "output.txt").open("wb") as output:
            returncode = subprocess.call(command, stdout=output, stderr=output, user=user, cwd=self.folder, timeout=60)
        assert returncode == 0, (self.folder / "output.txt").read_text()

    def start(self) -> None:
        settings = {**FAST, "unix_socket_directories": str(self.folder)}
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        self.run("pg_ctl", "start", "-w", "-l", str(self.folder / "server.log"), "-o", options)

    def stop(self) -> None:
        self.run("pg_ctl", "stop", "-w", "-m", "immediate")

    def sql(self, statement: str) -> None:
        engine = create_engine(self.url("postgres"), poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)


@contextmanager
def open_cluster() -> Iterator[Cluster]:
    account = pwd.getpwnam("postgres") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    with tempfile.TemporaryDirectory(prefix="slipway-pg-") as folder:
        cluster = Cluster(_programs(), Path(folder), account)
        if os.geteuid() == 0:
            os.chown(folder, account.pw_uid, account.pw_gid)
        cluster.run("initdb", "--auth=trust", f"--username={account.pw_name}", "--encoding=UTF8", "--no-sync")
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()


def _programs() -> Path:
    """The newest PostgreSQL of Debian's layout, or the one on the path."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name))
    on_path = shutil.which("pg_ctl")
    found = folders[-1] if folders else Path(on_path).resolve().parent if on_path else None
    assert found, "no PostgreSQL here: install the package postgresql"
    return found


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with open_cluster() as cluster:
        cluster.sql("CREATE DATABASE migrated")
        schema.upgrade(cluster.url("migrated"))
        yield cluster


@pytest.fixture
def empty_url(cluster: Cluster) -> Iterator[str]:
    """A database without a store."""
    yield from _database(cluster, "template0")


@pytest.fixture
def store_url(cluster: Cluster) -> Iterator[str]:
    """A database with an empty store."""
    yield from _database(cluster, "migrated")


def _database(cluster: Cluster, template: str) -> Iterator[str]:
    name = f"test_{next(NAMES)}"
    cluster.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield cluster.url(name)
    cluster.sql(f"DROP DATABASE {name}")
