"""Slipway's errors in Airflow's words: what a retry can help is retried, the rest fails at once."""

from __future__ import annotations

from airflow.sdk.exceptions import AirflowFailException

from slipway.errors import SlipwayError


def as_airflow(error: SlipwayError) -> Exception:
    """The error itself where a retry can help, else Airflow's own that forbids retries."""
    return error if error.transient else AirflowFailException(str(error))
