"""Slipway: from bare GPU hosts to a served, measured and judged model, as one Airflow DAG run."""

__version__ = "0.1.0"
