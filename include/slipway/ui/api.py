"""The routes. Every one of them, also a later one, needs a login and the right to read DAGs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path as Folder
from typing import Annotated

from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import Depends, FastAPI, HTTPException, Path, Query, Request, status
from fastapi.responses import FileResponse, JSONResponse
from pydantic import Field

from slipway.errors import StoreError
from slipway.hooks.settings import artifacts_folder, store_url
from slipway.spec.part import Name
from slipway.store import Deployment, Run, Store, kept_store
from slipway.ui.access import Sight
from slipway.ui.answers import (
    ActionsAnswer,
    DeploymentsAnswer,
    RunAnswer,
    RunsAnswer,
    WholeRunAnswer,
    deployments_answer,
    runs_answer,
    whole_run_answer,
)
from slipway.ui.compared import ComparisonAnswer, comparison
from slipway.ui.drawn import (
    CardAnswer,
    OverviewAnswer,
    PointsAnswer,
    RevisionsAnswer,
    TrendsAnswer,
    card,
    points_answer,
    revisions_answer,
    trends_answer,
)
from slipway.ui.files import FilesAnswer, file_named, files_of
from slipway.ui.page import PAGE

LARGEST_ID = 2**31 - 1

log = logging.getLogger(__name__)

app = FastAPI(
    title="Slipway",
    dependencies=[Depends(requires_access_dag("GET"))],
    openapi_url=None,  # it would be served without a login
)


@app.get("/page.js")
def page() -> FileResponse:
    """The page. Its address names its build, so a browser may keep it."""
    kept = {"Cache-Control": "private, max-age=31536000, immutable"}
    return FileResponse(PAGE, media_type="text/javascript", headers=kept)


def _results() -> Store:
    return kept_store(store_url())


def _sight(user: GetUserDep) -> Sight:
    return Sight(user)


Results = Annotated[Store, Depends(_results)]
Seen = Annotated[Sight, Depends(_sight)]
Key = Annotated[str, Query(min_length=1, max_length=250, pattern=r"^[^\x00]*$")]
"""An id of Airflow's."""
RunId = Annotated[int, Path(ge=1, le=LARGEST_ID)]
SAVED = {
    "Cache-Control": "private, no-store",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "X-Content-Type-Options": "nosniff",
}


@app.get("/api/deployments")
def deployments(store: Results, sight: Seen) -> DeploymentsAnswer:
    """Every deployment that the user may see."""
    return deployments_answer(each for each in store.deployments() if sight.has(each.name))


@app.get("/api/deployments/{name}/runs")
def runs(name: Name, store: Results, sight: Seen, limit: Annotated[int, Query(ge=1, le=500)] = 20) -> RunsAnswer:
    """The last runs of a deployment."""
    sight.require(name)
    return runs_answer(store.runs(name, limit))


@app.get("/api/overview")
def overview(store: Results, sight: Seen) -> OverviewAnswer:
    """A card for every deployment that the user may see."""
    return OverviewAnswer(cards=_cards(store, [each for each in store.deployments() if sight.has(each.name)]))


def _cards(store: Store, deployments: Sequence[Deployment]) -> list[CardAnswer]:
    current = {each.name: each.current.revision_id for each in deployments if each.current}
    revisions = store.revisions_by_id(list(current.values()))
    peaks = store.peaks([each.name for each in deployments])
    return [card(each, revisions.get(current.get(each.name, "")), peaks[each.name]) for each in deployments]


@app.get("/api/deployments/{name}/trends")
def trends(name: Name, store: Results, sight: Seen, limit: Annotated[int, Query(ge=1, le=200)] = 100) -> TrendsAnswer:
    """The figures of a deployment's last runs."""
    sight.require(name)
    steps = store.steps(name, limit)
    return trends_answer(steps, store.points([step.id for step in steps]))


@app.get("/api/deployments/{name}/revisions")
def revisions(
    name: Name, store: Results, sight: Seen, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> RevisionsAnswer:
    """The newest revisions of a deployment, each with what it changed."""
    sight.require(name)
    running = store.current(name)
    current = running.revision_id if running else None
    baseline = store.baseline(name, current) if current else None
    return revisions_answer(store.revisions(name, limit + 1), limit, current, baseline)


@app.get("/api/deployments/{name}/revisions/{revision_id}/points")
def points(
    name: Name, revision_id: Annotated[str, Path(pattern="^[0-9a-f]{12}$")], store: Results, sight: Seen
) -> PointsAnswer:
    """The newest figures of one revision."""
    sight.require(name)
    return points_answer(store.points_of_revision(name, revision_id))


@app.get("/api/deployments/{name}/actions")
def actions(name: Name, sight: Seen) -> ActionsAnswer:
    """What the user may start. The page starts it by Airflow's own API, with the user's own rights."""
    sight.require(name)
    return ActionsAnswer(benchmark=sight.action(name, "benchmark"), deploy=sight.action(name, "deploy"))


@app.get("/api/dag-run")
def dag_run(dag_id: Key, dag_run_id: Key, store: Results, sight: Seen) -> RunAnswer:
    """The run that a DAG run of Airflow's left in the store."""
    found = store.run(dag_id, dag_run_id)
    if found is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"the store has no run of {dag_id}, {dag_run_id}")
    sight.require(found.deployment)
    return RunAnswer.model_validate(found)


@app.get("/api/runs/{run_id}")
def run(run_id: RunId, store: Results, sight: Seen) -> WholeRunAnswer:
    """One run, whole."""
    found = _seen_run(run_id, store, sight)
    left = (store.stages(run_id), store.smoke(run_id), store.cells(run_id), store.restarts_of_run(run_id))
    return whole_run_answer(found, *left)


@app.get("/api/runs/{run_id}/files")
def run_files(run_id: RunId, store: Results, sight: Seen) -> FilesAnswer:
    """What the run left beside its figures."""
    return files_of(_kept_by(run_id, store, sight))


@app.get("/api/runs/{run_id}/files/{name:path}")
def run_file(run_id: RunId, name: str, store: Results, sight: Seen) -> FileResponse:
    """One of these files, to be saved: no browser may show it as a page of Airflow's."""
    path = file_named(_kept_by(run_id, store, sight), name)
    if path is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"run {run_id} has no such file here")
    return FileResponse(
        path, media_type="application/octet-stream", filename=f"run-{run_id}-{path.name}", headers=SAVED
    )


def _kept_by(run_id: int, store: Store, sight: Sight) -> Folder:
    """The folder of a run's files, for one who may read its tasks' logs."""
    sight.require_logs(_seen_run(run_id, store, sight).deployment)
    return artifacts_folder() / f"run-{run_id}"


@app.get("/api/compare")
def compare(
    run: Annotated[list[Annotated[int, Field(ge=1, le=LARGEST_ID)]], Query(min_length=2, max_length=6)],
    store: Results,
    sight: Seen,
) -> ComparisonAnswer:
    """Two to six runs, each held against the first."""
    return comparison(store, _seen_runs(list(dict.fromkeys(run)), store, sight))


def _seen_run(run_id: int, store: Store, sight: Sight) -> Run:
    return _seen_runs([run_id], store, sight)[0]


def _seen_runs(run_ids: Sequence[int], store: Store, sight: Sight) -> list[Run]:
    """Raises 404 for a run that is not there, 403 for one out of the user's sight."""
    found = store.runs_by_id(run_ids)
    for run_id in run_ids:
        if run_id not in found:
            raise HTTPException(status.HTTP_404_NOT_FOUND, f"there is no run {run_id}")
        sight.require(found[run_id].deployment)
    return [found[run_id] for run_id in run_ids]


@app.exception_handler(StoreError)
def unusable(_request: Request, error: StoreError) -> JSONResponse:
    """The reason names the database, so it goes to the log alone."""
    log.error("%s", error)
    detail = "the results store cannot be used: the API server's log says why"
    return JSONResponse({"detail": detail}, status.HTTP_503_SERVICE_UNAVAILABLE)
