"""Where the embedded Airflow lives and how it is set up.

One setting is the user's: the environment variable ``SLIPWAY_AIRFLOW_PORT``, the port of Airflow's UI and API (8080
where it is not set). It is the only port that this Airflow listens on, and only on 127.0.0.1: the log servers (8793 and
8794) are left out, as every log lies on this machine, and the scheduler's health port (8974) is off.

Everything else is written to ``airflow.cfg`` in Airflow's home, so that ``AIRFLOW_HOME=.slipway/airflow airflow ...``
speaks to the same Airflow. Variables named ``AIRFLOW__...`` in the user's shell are not heeded: they may point at
another Airflow's database.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import sys
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path

from slipway.embedded.rest import Login
from slipway.errors import SlipwayError

PORT_SETTING = "SLIPWAY_AIRFLOW_PORT"
DEFAULT_PORT = 8080
USER = "admin"
OUTLAST_A_RESTART = {"execution_api_retries": 40, "execution_api_retry_wait_max": 2}
"""A task that begins or ends while the API server is started again asks for about a minute, not for about 6 s."""
NOTICE_A_LOSS = {"orphaned_tasks_check_interval": 30, "task_instance_heartbeat_timeout": 120}
"""A task whose scheduler or process was killed is tried again within about two minutes, not within five."""
PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Settings:
    """The project whose DAGs run, and the port. ``python`` is the interpreter that has Airflow."""

    project: Path
    port: int = DEFAULT_PORT
    python: str = str(Path(sys.prefix).resolve() / "bin" / "python")

    @property
    def state(self) -> Path:
        """The one folder that holds everything that Slipway makes at run time."""
        return self.project / ".slipway"

    @property
    def home(self) -> Path:
        return self.state / "airflow"

    @property
    def dags(self) -> Path:
        return self.project / "dags"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def config_file(self) -> Path:
        return self.home / "airflow.cfg"

    @property
    def password_file(self) -> Path:
        return self.home / "passwords.json"

    def login(self) -> Login:
        """How to log in; the password is made with the first call, and kept for the user alone to read."""
        made = kept_secrets(self.password_file, {USER: lambda: secrets.token_urlsafe(12)})
        return Login(self.url, USER, made[USER])


def load_settings(project: Path, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings for the project in this folder. Raises SlipwayError for a port that is none."""
    text = environ.get(PORT_SETTING, str(DEFAULT_PORT))
    port = int(text) if text.isascii() and text.isdigit() else 0
    if not 1024 <= port <= 65535:
        raise SlipwayError(f"{PORT_SETTING}={text!r} is no port", hint="set it to a number from 1024 to 65535")
    return Settings(project.resolve(), port)


def config_text(settings: Settings) -> str:
    """``airflow.cfg``: what differs from Airflow's defaults. The keys in it are made once and kept."""
    keys = kept_secrets(
        settings.home / "secrets.json",
        {
            "fernet_key": lambda: urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "jwt_secret": lambda: secrets.token_urlsafe(64),
            "secret_key": lambda: secrets.token_urlsafe(32),
        },
    )
    parser = ConfigParser(interpolation=None)
    for section, options in _options(settings, keys).items():
        parser[section] = {name: str(value).replace("%", "%%") for name, value in options.items()}
    written = io.StringIO()
    written.write("# Written by Slipway at each start of its Airflow; changes made here do not last.\n")
    parser.write(written)
    return written.getvalue()


def last_port(settings: Settings) -> int:
    """The port of the last start, which may be another than today's; today's where there was none."""
    parser = ConfigParser(interpolation=None)
    parser.read(settings.config_file)
    return parser.getint("api", "port", fallback=settings.port)


def environment(settings: Settings, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What Airflow's processes get beside a login's environment.

    Its parts speak to each other over 127.0.0.1, which no proxy may stand between. The digest changes with everything
    that a running process has read for good: the configuration, the pinned requirements, this package, the plugins.
    """
    no_proxy = environ.get("no_proxy") or environ.get("NO_PROXY")
    direct = ",".join(filter(None, [no_proxy, "127.0.0.1", "localhost"]))
    return {
        "AIRFLOW_HOME": str(settings.home),
        "PYTHONUNBUFFERED": "1",
        "no_proxy": direct,
        "NO_PROXY": direct,
        "SLIPWAY_AIRFLOW_DIGEST": _digest(settings),
    }


def kept_secrets(path: Path, makers: Mapping[str, Callable[[], str]]) -> dict[str, str]:
    """The secrets in a file; those that it lacks are made and added."""
    kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    missing = {name: make() for name, make in makers.items() if name not in kept}
    if missing:
        kept |= missing
        write_private(path, json.dumps(kept))
    return kept


def write_private(path: Path, text: str) -> None:
    """Write a file that only this user can read, whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600, exist_ok=False)
    fresh.write_text(text)
    fresh.replace(path)


def _options(settings: Settings, keys: Mapping[str, str]) -> dict[str, dict[str, object]]:
    return {
        "core": {
            "dags_folder": settings.dags,
            "plugins_folder": settings.project / "plugins",
            "load_examples": False,
            "dags_are_paused_at_creation": False,
            "executor": "LocalExecutor",
            "parallelism": 8,
            "hostname_callable": "socket.gethostname",
            "execution_api_server_url": f"{settings.url}/execution/",
            "fernet_key": keys["fernet_key"],
            "auth_manager": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
            "simple_auth_manager_users": f"{USER}:admin",
            "simple_auth_manager_passwords_file": settings.password_file,
        },
        "api": {
            "host": "127.0.0.1",
            "port": settings.port,
            "base_url": settings.url,
            "secret_key": keys["secret_key"],
        },
        "api_auth": {"jwt_secret": keys["jwt_secret"]},
        "database": {"sql_alchemy_conn": f"sqlite:///{settings.home}/airflow.db"},
        "dag_processor": {"refresh_interval": 10},
        "slipway": {"deployments_folder": settings.project / "include" / "deployments"},
        "logging": {"base_log_folder": settings.home / "logs"},
        "scheduler": {"enable_health_check": False, **NOTICE_A_LOSS},
        "workers": {"min_heartbeat_interval": 1, "max_failed_heartbeats": 20, **OUTLAST_A_RESTART},
    }


def _digest(settings: Settings) -> str:
    digest = hashlib.sha256(config_text(settings).encode())
    plugins = (settings.project / "plugins").rglob("*.py")
    for path in sorted([*settings.project.glob("requirements.txt"), *PACKAGE.rglob("*.py"), *plugins]):
        digest.update(f"{path}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]
