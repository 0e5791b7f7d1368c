"""The routes. Every one of them, also a later one, needs a login and the right to read DAGs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Annotated

from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import Depends, FastAPI, HTTPException, Path, Query, Request, status
from fastapi.responses import JSONResponse

from slipway.errors import StoreError
from slipway.hooks.settings import store_url
from slipway.spec.types import Name
from slipway.store import Store, open_store
from slipway.ui.access import Sight
from slipway.ui.answers import (
    DeploymentsAnswer,
    RunsAnswer,
    WholeRunAnswer,
    deployments_answer,
    runs_answer,
    whole_run_answer,
)

LARGEST_ID = 2**31 - 1

log = logging.getLogger(__name__)

app = FastAPI(
    title="Slipway",
    dependencies=[Depends(requires_access_dag("GET"))],
    openapi_url=None,  # it would be served without a login
)


def _results() -> Iterator[Store]:
    with open_store(store_url()) as store:
        yield store


def _sight(user: GetUserDep) -> Sight:
    return Sight(user)


Results = Annotated[Store, Depends(_results)]
Seen = Annotated[Sight, Depends(_sight)]


@app.get("/api/deployments")
def deployments(store: Results, sight: Seen) -> DeploymentsAnswer:
    """Every deployment that the user may see."""
    return deployments_answer(each for each in store.deployments() if sight.has(each.name))


@app.get("/api/deployments/{name}/runs")
def runs(name: Name, store: Results, sight: Seen, limit: Annotated[int, Query(ge=1, le=500)] = 20) -> RunsAnswer:
    """The last runs of a deployment."""
    sight.require(name)
    return runs_answer(store.runs(name, limit))


@app.get("/api/runs/{run_id}")
def run(run_id: Annotated[int, Path(ge=1, le=LARGEST_ID)], store: Results, sight: Seen) -> WholeRunAnswer:
    """One run, whole."""
    found = store.find_run(run_id)
    if found is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"there is no run {run_id}")
    sight.require(found.deployment)
    return whole_run_answer(found, store.stages(run_id), store.smoke(run_id), store.cells(run_id))


@app.exception_handler(StoreError)
def unusable(_request: Request, error: StoreError) -> JSONResponse:
    """The reason names the database, so it goes to the log alone."""
    log.error("%s", error)
    detail = "the results store cannot be used: the API server's log says why"
    return JSONResponse({"detail": detail}, status.HTTP_503_SERVICE_UNAVAILABLE)
