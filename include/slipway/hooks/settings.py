"""Slipway's section of Airflow's configuration, ``[slipway]``. Cheap enough for the top of a DAG file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import slipway

if TYPE_CHECKING:
    from slipway.spec import DeploymentSpec


def store_url() -> str:
    """``store_url``, by default the file slipway.db in AIRFLOW_HOME."""
    return _option("store_url") or f"sqlite:///{_airflow_home() / 'slipway.db'}"


def deployments_folder() -> Path:
    """``deployments_folder``, by default the folder ``deployments`` beside the package."""
    return _folder("deployments_folder", Path(slipway.__file__).parents[1] / "deployments")


def lock_text(spec: DeploymentSpec) -> str:
    """The text of the deployment's lock file, which lies in ``environments`` beside the deployment files."""
    from slipway.spec.environments import environments_folder, load_lock

    return load_lock(environments_folder(deployments_folder()), spec)


def artifacts_folder() -> Path:
    """``artifacts_folder``, by default slipway-artifacts in AIRFLOW_HOME."""
    return _folder("artifacts_folder", _airflow_home() / "slipway-artifacts")


def notify_conn() -> str:
    """``notify_conn``: the connection by which the end of each run is told; empty where nobody is."""
    return _option("notify_conn")


def keep_rows_days() -> float:
    """``keep_rows_days``: how long raw rows and evidence are kept, 0 for ever. Raises SpecError for what is none."""
    from slipway.errors import SpecError

    given = _option("keep_rows_days") or "0"
    if not given.isascii() or not given.replace(".", "", 1).isdigit():
        raise SpecError(
            f"[slipway] keep_rows_days = {given!r} is no number of days", hint="set it to 90, or to 0 for ever"
        )
    return float(given)


def run_url(dag_id: str, dag_run_id: str) -> str:
    """Where people find a run in Airflow's UI, below ``[api] base_url``."""
    from urllib.parse import quote

    return f"{_base_url()}/dags/{quote(dag_id)}/runs/{quote(dag_run_id)}"


def deployment_url(name: str) -> str:
    """Where people find a deployment on Slipway's own page there."""
    return f"{_base_url()}/plugin/slipway/deployments/{name}"


def _base_url() -> str:
    from airflow.configuration import conf

    return str(conf.get("api", "base_url", fallback="") or "").rstrip("/")


def _folder(name: str, default: Path) -> Path:
    given = _option(name)
    return Path(given).expanduser().absolute() if given else default


def _option(name: str) -> str:
    from airflow.configuration import conf

    return conf.get("slipway", name, fallback="").strip()


def _airflow_home() -> Path:
    from airflow.configuration import AIRFLOW_HOME

    return Path(AIRFLOW_HOME).absolute()
