"""What Airflow's web server shows of the results: a page, and the typed JSON API below ``/slipway`` that it reads.

==========================================  ========================================================================
``/api/overview``                           a card for every deployment: what runs where, and its throughput so far
``/api/deployments``                        every deployment: what it runs, since when; its last run and verdict
``/api/deployments/{name}/runs``            its runs, newest first; ``?limit=`` from 1 to 500, 20 if not given
``/api/deployments/{name}/trends``          the figures of its last runs, oldest first; 1 to 200, 100 if not given
``/api/deployments/{name}/revisions``       its revisions and what each changed; 1 to 200, 50 if not given
``/api/deployments/{name}/actions``         what the user may start there, by Airflow's own rights
``.../revisions/{id}/points``               the newest figures of one revision, 200 cells at most
``/api/dag-run?dag_id=&dag_run_id=``        the run that a DAG run of Airflow's left
``/api/compare?run=&run=``                  two to six runs, each held against the first
``/api/runs/{id}``                          a run whole: stages, smoke checks, cells with all figures, snapshot
``/api/runs/{id}/files``                    what it left beside its figures; ``.../files/{name}`` is one of these files
==========================================  ========================================================================

Each route answers 401 without a login of Airflow's, and 403 to one who may not read the deployment's DAG
``<name>.deploy``, or for files its tasks' logs. Every run, deployment and cell says whether it is a rehearsal. Cells
are columns in ``trends`` and ``points``: the values at one place in each list are one cell's.
"""
