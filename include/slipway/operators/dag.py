"""What the DAGs of a deployment have in common."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, CronTriggerTimetable
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from slipway.errors import SpecError
from slipway.operators.form import form
from slipway.operators.resolve import CONF

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Param

    from slipway.spec import DeploymentSpec

RETRY = {"retries": 2, "retry_delay": timedelta(seconds=5), "retry_exponential_backoff": 2.0}
"""For tasks that look first, and so may be repeated. Errors that a retry cannot help fail at once all the same."""

ONCE = {"retries": 0}
"""For tasks whose failure is an answer."""

FURTHEST_FIRST = {"weight_rule": "upstream"}
"""Where places are few, the run that has come furthest goes on before another begins: it holds hosts meanwhile."""

LAST = {"trigger_rule": "all_done"}
"""For the task that comes when all others have ended, well or not."""

IN_TURN = {"retries": 120, "retry_delay": timedelta(seconds=30), "retry_exponential_backoff": 0.0}
"""For the task that takes the hosts: it waits an hour for the run that holds them, and holds no worker meanwhile."""


AT_ONCE = 16
"""How many runs of a DAG Airflow may begin at once where all but one are refused."""


def deployments(part: str = "name") -> Iterator[DeploymentSpec]:
    """The deployments that have a file, and this part in it. A file that is wrong is reported in the DAG processor's
    log and left out."""
    import logging

    from slipway.hooks.settings import deployments_folder
    from slipway.spec import load_deployment

    for path in sorted(deployments_folder().glob("*.yaml")):
        try:
            spec = load_deployment(path)
        except SpecError as error:
            logging.getLogger(__name__).error("no DAGs for %s: %s", path.name, error)  # noqa: TRY400
            continue
        if getattr(spec, part):
            yield spec


def dag_arguments(spec: DeploymentSpec, job: str, docs: str) -> dict[str, Any]:
    """Arguments of the DAG ``<name>.<job>``; ``docs`` is the DAG file's own docstring."""
    tags = ["slipway", job, spec.name, *spec.tags, *(["rehearsal"] if spec.rehearsal else [])]
    return {
        "dag_id": f"{spec.name}.{job}",
        "description": spec.description or None,
        "doc_md": _docs(spec, docs),
        "tags": tags,
        "schedule": schedule(spec, job),
        "catchup": False,
        "max_active_runs": 1 if spec.when_busy == "wait" else AT_ONCE,
        "render_template_as_native_obj": False,
        "default_args": {"owner": "slipway", "pool": spec.pool, **FURTHEST_FIRST, **RETRY},
        "deadline": deadline(spec, job),
        **_callbacks(job),
    }


def form_of(spec: DeploymentSpec, job: str) -> dict[str, Param]:
    """The DAG's params: what a run may change. For a DAG whose tasks are there already, since Airflow copies what a DAG
    has then into each task that joins it."""
    return form(CONF[job], spec)


def of_load(spec: DeploymentSpec, title: str) -> dict[str, Any]:
    """Arguments of a mapped task that makes load: its parts in turn, each named by ``title``, on the queue for load."""
    queue = {"queue": spec.benchmark.queue} if spec.benchmark.queue else {}
    return {"max_active_tis_per_dagrun": 1, "map_index_template": f"{{{{ task.{title} }}}}", **queue}


def deadline(spec: DeploymentSpec, job: str) -> DeadlineAlert | None:
    """When people are told that a run is late. Counted from its queueing, since a run that is asked for over the API
    has no logical date."""
    after_s = {str(name): seconds for name, seconds in spec.late_after_s.items()}.get(job)
    if after_s is None:
        return None
    tell = AsyncCallback("slipway.operators.lateness.tell_late", {"after_s": after_s})
    return DeadlineAlert(DeadlineReference.DAGRUN_QUEUED_AT, timedelta(seconds=after_s), tell, name=f"late {job}")


def _callbacks(job: str) -> dict[str, Any]:
    """What is done at the end of a run. People are told only where a connection for that is named; of a look at a
    server that is well nobody wants to hear."""
    from slipway.hooks.settings import notify_conn
    from slipway.operators.notify import tell_failure, tell_success

    if not notify_conn():
        return {"on_failure_callback": close_failed_run}
    told = {"on_failure_callback": [close_failed_run, tell_failure]}
    return told if job == "watch" else {**told, "on_success_callback": tell_success}


def schedule(spec: DeploymentSpec, job: str) -> CronTriggerTimetable | None:
    """When the job runs by itself. A DAG that is new, or was paused, waits for its next time."""
    asked = {"preflight": spec.preflight, "benchmark": spec.benchmark, "watch": spec.watch}.get(job)
    if asked is None or not asked.schedule:
        return None
    return CronTriggerTimetable(asked.schedule, timezone=asked.timezone)


def asset(spec: DeploymentSpec) -> Asset:
    """What a deployment gives to DAGs of others: it is updated when a revision is promoted, and by each benchmark."""
    return Asset(name=f"slipway.{spec.name}", uri=f"x-slipway://{spec.name}")


def approval(spec: DeploymentSpec) -> list[BaseOperator]:
    """The task that asks a person first, where the file wants it."""
    if spec.redeploy.promote == "auto":
        return []
    from slipway.operators.approval import ApproveOperator
    from slipway.operators.redeploy import APPROVE

    return [ApproveOperator(task_id=APPROVE, deployment=spec.name, within_s=spec.redeploy.approve_within_s)]


def traffic(spec: DeploymentSpec) -> list[BaseOperator]:
    """The task that moves clients to the new server, where the file has spare hosts."""
    if spec.beside is None:
        return []
    from slipway.operators.beside import TRAFFIC
    from slipway.operators.traffic import TrafficOperator

    return [TrafficOperator(task_id=TRAFFIC)]


def close_failed_run(context: Any) -> None:
    """A run that failed is failed in the results store too, also when its task was killed and could not say so."""
    from slipway.operators.recording import open_results
    from slipway.store import State

    with open_results() as store:
        run = store.run(context["dag_run"].dag_id, context["dag_run"].run_id)
        if run and run.state == State.RUNNING:
            store.finish_run(run.id, State.FAILED)


def _docs(spec: DeploymentSpec, docs: str) -> str:
    hosts = "\n".join(f"| {host.name} | {host.address} | {host.connection} | {host.gpus} |" for host in spec.machines)
    rehearsal = (
        "**Rehearsal**: the true software on CPU; its figures say nothing about a GPU.\n\n" if spec.rehearsal else ""
    )
    return (
        f"{docs}\n\n{rehearsal}{spec.description}\n\n"
        f"Serves `{spec.serve.model_name}` at `{spec.entrance}` "
        f"(tensor parallel {spec.serve.tensor_parallel}, pipeline parallel {spec.serve.pipeline_parallel}).\n\n"
        f"| host | address | connection | GPUs |\n|---|---|---|---|\n{hosts}\n"
    )
