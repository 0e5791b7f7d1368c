"""The run that a task belongs to, in the results store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from slipway.errors import SlipwayError
from slipway.operators.failure import as_airflow
from slipway.operators.lease import held
from slipway.operators.metrics import timed

if TYPE_CHECKING:
    from airflow.sdk import Context

    from slipway.spec import DeploymentSpec
    from slipway.store import Store

RESOLVE = "resolve"
"""The task that begins each run; under the XCom key ``run`` it hands the ids of run and revision on."""

RUN = "run"

RESTORE = "restore"
"""The task that ends each deploy that was not promoted."""

MACHINES = ("hosts", "hardware")
"""What of a snapshot only a deploy looks at."""


@dataclass
class Recording:
    """A stage of a run while it is being recorded; ``actions`` and ``detail`` are stored when it ends."""

    store: Store
    run_id: int
    revision_id: str
    spec: DeploymentSpec
    lock: str
    stage_id: int = 0
    actions: int = 0
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def serves_elsewhere(self) -> bool:
        """Whether what runs is on the other side: this run's server starts beside it, and is not what clients get."""
        from slipway.stages.difference import where_it_runs

        current = self.store.current(self.spec.name)
        return (
            current is not None
            and where_it_runs(self.spec, self.store.spec(current.revision_id)).hosts != self.spec.hosts
        )

    def keep_network(self) -> None:
        """Put the network's figure beside this run's own: that of the run which last found ready what runs now."""
        current = None if self.serves_elsewhere else self.store.current(self.spec.name)
        figure = self.store.run_by_id(current.run_id).snapshot.get("network") if current else None
        if figure:
            self.store.add_snapshot(self.run_id, {"network": figure})

    def keep_model(self) -> None:
        """Put the model that is served beside a run that did not stage it itself: what its figures are figures of."""
        current = self.store.current(self.spec.name)
        if current and "model" not in self.store.run_by_id(self.run_id).snapshot:
            model = self.store.run_by_id(current.run_id).snapshot.get("model", {})
            self.store.add_snapshot(self.run_id, {"model": model})

    def keep_machines(self) -> None:
        """Put the hosts beside a run that does not look at them itself, as the deploy found them."""
        own, current = self.store.run_by_id(self.run_id).snapshot, self.store.current(self.spec.name)
        if current and "hardware" not in own:
            found = self.store.run_by_id(current.run_id).snapshot
            self.store.add_snapshot(self.run_id, {key: found[key] for key in MACHINES if key in found})


GUARDED = ("deploy", "sweep")
"""Jobs that end with ``restore``: until then they hold their hosts, whatever fails."""


@contextmanager
def recorded(context: Context, stage: str) -> Iterator[Recording]:
    """Store the stage's begin, end, actions and error, and hold the hosts; turns Slipway's errors into Airflow's.

    The task that fails ends its run, but for a deploy or a sweep: those hold their hosts until ``restore`` has ended
    them. A failure is explained where it can be, by what the hosts tell of it.
    """
    from slipway.store import State

    ti = context["ti"]
    ids = ti.xcom_pull(task_ids=RESOLVE, key=RUN)
    with open_results() as store:
        map_index = -1 if ti.map_index is None else ti.map_index
        job = store.run_by_id(ids["run_id"]).job
        try:
            with stage_of(store, stage, **ids, map_index=map_index, try_number=ti.try_number) as recording:
                yield recording
        except SlipwayError as error:
            last = not error.transient or ti.try_number > ti.max_tries
            if last and (job not in GUARDED or stage == RESTORE):
                store.finish_run(ids["run_id"], State.FAILED)
            raise as_airflow(error) from error


@contextmanager
def stage_of(
    store: Store,
    stage: str,
    *,
    run_id: int,
    revision_id: str,
    map_index: int = -1,
    try_number: int = 1,
    holder: int | None = None,
) -> Iterator[Recording]:
    """A stage of a run, stored and explained; ``holder`` is the run that holds the hosts, by default this one."""
    from slipway.operators.explaining import explain_failure

    row = store.begin_stage(run_id, stage, map_index=map_index, try_number=try_number)
    spec, lock = store.spec(revision_id), store.lock(revision_id)
    recording = Recording(store, run_id, revision_id, spec=spec, lock=lock, stage_id=row)
    purpose = f"{store.run_by_id(holder or run_id).job} ({stage})"
    try:
        with held(store, holder or run_id, spec, purpose), timed(spec.name, stage):
            yield recording
    except SlipwayError as error:
        explain_failure(recording, stage, try_number, error)
        store.fail_stage(row, str(error), actions=recording.actions, detail=recording.detail)
        raise
    store.finish_stage(row, actions=recording.actions, detail=recording.detail)


def open_results() -> AbstractContextManager[Store]:
    """The results store that Airflow's configuration names."""
    from slipway.hooks.settings import store_url
    from slipway.store import open_store

    return open_store(store_url())
