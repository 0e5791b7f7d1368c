"""This machine, as a host: the same commands and the same clean environment as over SSH."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from slipway.errors import CommandTimeout, HostUnfit
from slipway.shell import Command, Result

KEPT = (
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "TZ",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
)
KEPT_PREFIXES = ("LC_", "PIP_")
PROXIES = ("http_proxy", "https_proxy", "no_proxy")
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def login_environment(environ: os._Environ[str] | dict[str, str] = os.environ) -> dict[str, str]:
    """What a login here would have: no variable of Airflow or of its virtual environment comes along."""
    kept = {
        name: value
        for name, value in environ.items()
        if name in KEPT or name.startswith(KEPT_PREFIXES) or name.lower() in PROXIES
    }
    own_bin = str(Path(sys.prefix) / "bin")
    folders = [folder for folder in environ.get("PATH", DEFAULT_PATH).split(":") if folder and folder != own_bin]
    return {**kept, "PATH": ":".join(folders)}


def own_address(toward: str) -> str:
    """This machine's own address on the way to another; nothing is sent. Raises HostUnfit where there is no way."""
    try:
        family, kind, _, _, place = socket.getaddrinfo(toward, 9, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            probe.connect(place)
            return str(probe.getsockname()[0])
    except OSError as error:
        raise HostUnfit(
            toward, f"no way to that address: {error}", hint="correct the `address` of that host"
        ) from error


class LocalHost:
    """Runs commands as processes of this machine."""

    def __init__(self, name: str = "local") -> None:
        self.name = name

    def run(self, command: Command) -> Result:
        began = time.monotonic()
        try:
            done = subprocess.run(
                command.argv,
                env={**login_environment(), **command.env},
                cwd=command.cwd,
                input=command.stdin,
                capture_output=True,
                timeout=command.timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            message = f"no end within {command.timeout_s:g} s: {command.line()[:300]}"
            raise CommandTimeout(self.name, message, hint="look what holds it on that host") from error
        except OSError as error:
            raise HostUnfit(
                self.name, f"cannot run {command.argv[0]!r}: {error.strerror}", hint="install it there"
            ) from error
        return Result(
            host=self.name,
            command=command,
            returncode=done.returncode,
            stdout=done.stdout.decode(errors="replace"),
            stderr=done.stderr.decode(errors="replace"),
            seconds=time.monotonic() - began,
        )
