"""The door to Airflow: its connections, its configuration, its database manager."""
