"""The stages as Airflow operators."""
