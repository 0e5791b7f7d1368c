"""An Airflow of Slipway's own on this machine: started, spoken to, followed and stopped."""

from slipway.embedded.airflow import down, require_alive, up
from slipway.embedded.dags import ready_dag, sources_changed_at
from slipway.embedded.ports import WantedPort, require_free
from slipway.embedded.rest import AirflowClient, Login, open_client
from slipway.embedded.settings import Settings, load_settings
from slipway.embedded.terminal import Outcome, follow

__all__ = [
    "AirflowClient",
    "Login",
    "Outcome",
    "Settings",
    "WantedPort",
    "down",
    "follow",
    "load_settings",
    "open_client",
    "ready_dag",
    "require_alive",
    "require_free",
    "sources_changed_at",
    "up",
]
