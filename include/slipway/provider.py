"""What Slipway announces to Airflow: its configuration section and its database."""

from __future__ import annotations

from typing import Any

STORE_URL = """The results database, as an SQLAlchemy URL: SQLite or PostgreSQL (postgresql+psycopg://...).
Empty for the file slipway.db in AIRFLOW_HOME. `airflow db migrate` creates and migrates its tables.
"""
DEPLOYMENTS_FOLDER = """The folder of the deployment files. Empty for the folder `deployments` beside the package.
"""
ARTIFACTS_FOLDER = """The folder that keeps what a run leaves beside its figures: raw rows of the load test, logs.
Empty for slipway-artifacts in AIRFLOW_HOME.
"""
NOTIFY_CONN = """The Airflow connection, of type Apprise, by which the end of each run is told. Empty: nobody is told.
"""
KEEP_ROWS_DAYS = """How many days the raw rows of load tests and the evidence of failures are kept in artifacts_folder.
Each load test removes what is older. The figures made of them stay in the results database. 0: for ever.
"""


def get_provider_info() -> dict[str, Any]:
    """The provider's description, in the form that Airflow's schema asks for."""
    return {
        "package-name": "slipway",
        "name": "Slipway",
        "description": "From bare GPU hosts to a served, measured and judged model, as one Airflow DAG run.",
        "extra-links": ["slipway.operators.links.RunPageLink", "slipway.operators.links.DeploymentPageLink"],
        "db-managers": ["slipway.hooks.database.SlipwayDBManager"],
        "config": {
            "slipway": {
                "description": "Where Slipway keeps its results and finds its deployment files.",
                "options": {
                    "store_url": {
                        **_option(STORE_URL, example="postgresql+psycopg://slipway:password@db.example/slipway"),
                        "sensitive": True,
                    },
                    "deployments_folder": _option(DEPLOYMENTS_FOLDER, example="/opt/slipway/deployments"),
                    "artifacts_folder": _option(ARTIFACTS_FOLDER, example="/var/lib/slipway/artifacts"),
                    "notify_conn": _option(NOTIFY_CONN, example="slipway_notify"),
                    "keep_rows_days": {**_option(KEEP_ROWS_DAYS, example="90"), "type": "float", "default": "0"},
                },
            },
        },
    }


def _option(description: str, example: str) -> dict[str, Any]:
    return {"description": description, "version_added": "0.1.0", "type": "string", "example": example, "default": ""}
