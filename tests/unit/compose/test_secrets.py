"""``make secrets`` makes every file that docker-compose.yaml asks for, and what is read from them is what is needed."""

from __future__ import annotations

import io
import json
import shlex
import stat
import subprocess
from pathlib import Path
from typing import Any

import paramiko
import pytest
from sqlalchemy import URL, make_url

from slipway.spec import load_deployment

ROOT = Path(__file__).parents[3]


OTHER_HALVES = ("rehearsal_host_key.pub", "rehearsal_user_key")
"""The halves of the rehearsal's keys that no container is given as they are."""


def make_secrets(state: Path) -> None:
    command = ["make", "--silent", "secrets", f"STATE={state}"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    state = tmp_path_factory.mktemp("state")
    make_secrets(state)
    return state


def answer(compose: Any, state: Path, option: str) -> str:
    """What Airflow reads for an option whose value is a command's output."""
    command = compose.services["scheduler"]["environment"][f"AIRFLOW__{option}_CMD"]
    here = command.replace("/run/secrets", str(state / "secrets"))
    return subprocess.run(shlex.split(here), capture_output=True, text=True, timeout=30, check=True).stdout


def test_each_file_is_made_and_no_other(compose: Any, state: Path) -> None:
    wanted = {secret["file"] for secret in compose.content["secrets"].values()}
    wanted |= {f"./.slipway/secrets/{name}" for name in OTHER_HALVES}
    assert {f"./.slipway/secrets/{path.name}" for path in (state / "secrets").iterdir()} == wanted


def test_each_service_has_the_secrets_that_it_reads(compose: Any) -> None:
    for service in compose.services.values():
        text = json.dumps([service.get("environment"), service.get("command"), service.get("healthcheck")])
        if service in compose.hosts.values():
            text += (ROOT / "deploy" / "host" / "sshd_config").read_text()
        read = {name for name in compose.content["secrets"] if f"/run/secrets/{name}" in text}
        assert read == set(service.get("secrets", []))


def test_the_folder_is_closed_and_the_files_open_to_the_user_of_a_container(state: Path) -> None:
    folder = state / "secrets"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o644}


def test_they_are_made_once(state: Path) -> None:
    before = {path: path.read_bytes() for path in (state / "secrets").iterdir()}
    make_secrets(state)
    assert {path: path.read_bytes() for path in (state / "secrets").iterdir()} == before


def test_they_are_made_anew_elsewhere(state: Path, tmp_path: Path) -> None:
    make_secrets(tmp_path)
    for path in (state / "secrets").iterdir():
        assert path.read_bytes() != (tmp_path / "secrets" / path.name).read_bytes()


def test_the_databases_are_those_that_postgres_makes(compose: Any, state: Path) -> None:
    made = compose.services["postgres"]["environment"]
    password = (state / "secrets" / "postgres_password").read_text()
    airflow = URL.create("postgresql+psycopg", made["POSTGRES_USER"], password, "postgres", None, made["POSTGRES_DB"])
    assert make_url(answer(compose, state, "DATABASE__SQL_ALCHEMY_CONN")) == airflow
    assert make_url(answer(compose, state, "DATABASE__SQL_ALCHEMY_CONN_ASYNC")) == airflow
    assert make_url(answer(compose, state, "SLIPWAY__STORE_URL")) == airflow.set(database="slipway")
    assert compose.content["configs"]["create-store"]["content"] == "CREATE DATABASE slipway;"


def test_the_broker_is_the_redis_of_the_profile(compose: Any, state: Path) -> None:
    password = (state / "secrets" / "redis_password").read_text()
    assert answer(compose, state, "CELERY__BROKER_URL") == f"redis://:{password}@redis:6379/0"
    assert "redis" in compose.services


def test_the_connections_are_those_of_the_example(compose: Any, state: Path) -> None:
    spec = load_deployment(ROOT / "docs" / "examples" / "two-hosts.yaml")
    made = json.loads((state / "secrets" / "rehearsal_connections.json").read_text())
    assert list(made) == [host.connection for host in spec.hosts]
    assert [connection["host"] for connection in made.values()] == list(compose.hosts)
    for connection in made.values():
        key = paramiko.Ed25519Key.from_private_key(io.StringIO(connection["extra"]["private_key"]))
        kind, public, *_ = (state / "secrets" / "rehearsal_user_key.pub").read_text().split()
        assert (key.get_name(), key.get_base64()) == (kind, public)
        assert (state / "secrets" / "rehearsal_host_key.pub").read_text().startswith(connection["extra"]["host_key"])


def test_the_keys_are_what_airflow_takes(compose: Any, state: Path) -> None:
    from cryptography.fernet import Fernet

    Fernet(answer(compose, state, "CORE__FERNET_KEY").encode())
    assert len(answer(compose, state, "API_AUTH__JWT_SECRET")) >= 64
    assert len(answer(compose, state, "API__SECRET_KEY")) >= 32


def test_every_user_has_a_password(compose: Any, state: Path) -> None:
    users = compose.services["api-server"]["environment"]["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"]
    passwords = json.loads((state / "secrets" / "airflow_passwords.json").read_text())
    assert set(passwords) == {user.partition(":")[0] for user in users.split(",")}
    assert all(len(password) >= 16 for password in passwords.values())
