"""What Airflow's web server shows of the results: a typed JSON API below ``/slipway``, which only reads the store.

====================================  ==============================================================================
``/api/deployments``                  every deployment: what it runs, since when and where, its last run and verdict
``/api/deployments/{name}/runs``      its runs, newest first; ``?limit=`` from 1 to 500, 20 where it is not given
``/api/runs/{id}``                    a run whole: stages, smoke checks, cells with all figures, snapshot
====================================  ==============================================================================

Each route answers 401 without a login of Airflow's, and 403 to one who may not read the deployment's DAG
``<name>.deploy``. Every run, deployment and cell says whether it is a rehearsal.
"""
