"""The rehearsal host of docker-compose.yaml without Docker: its sshd, and the connection that `make secrets` makes."""

from __future__ import annotations

import getpass
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    state = tmp_path_factory.mktemp("state")
    subprocess.run(["make", "--silent", "secrets", f"STATE={state}"], cwd=ROOT, check=True, timeout=60)
    return state / "secrets"


@pytest.fixture(scope="module")
def port(secrets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Its sshd on a free port, for the user of this test."""
    folder = tmp_path_factory.mktemp("host")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    text = (ROOT / "deploy" / "host" / "sshd_config").read_text()
    for there, here in {
        "Port 2222": f"Port {port}\nListenAddress 127.0.0.1",
        "/tmp/host_key": str(folder / "host_key"),
        "/run/secrets/rehearsal_user_key_pub": str(secrets / "rehearsal_user_key.pub"),
    }.items():
        assert there in text
        text = text.replace(there, here)
    (folder / "config").write_text(text)
    subprocess.run(["install", "--mode", "0600", secrets / "rehearsal_host_key", folder / "host_key"], check=True)
    Path("/run/sshd").mkdir(exist_ok=True)
    program = shutil.which("sshd", path="/usr/sbin:/usr/bin")
    assert program, "no sshd here: install openssh-server"
    process = subprocess.Popen([program, "-D", "-e", "-f", folder / "config"], stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def test_airflow_reaches_it_by_the_connection_and_knows_its_host_key(
    secrets: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.providers.ssh.hooks.ssh import SSHHook

    made = json.loads((secrets / "rehearsal_connections.json").read_text())["slipway_h1"]
    here = {**made, "host": "127.0.0.1", "port": port, "login": getpass.getuser()}
    monkeypatch.setenv("AIRFLOW_CONN_SLIPWAY_H1", json.dumps(here))
    with SSHHook(ssh_conn_id="slipway_h1").get_conn() as client:
        assert client.exec_command("echo hello")[1].read() == b"hello\n"


def test_without_the_key_nobody_comes_in(port: int) -> None:
    options = ["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
    argv = ["ssh", "-F", "none", *options, "-o", "IdentitiesOnly=yes", "-p", str(port), "127.0.0.1", "true"]
    refused = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert refused.returncode == 255
    assert "Permission denied (publickey)" in refused.stderr


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(100):
        assert process.poll() is None, "sshd ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("sshd does not listen")
