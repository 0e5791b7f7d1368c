"""The end of a run, told to people: what ended, how, why, and where to look."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from slipway.errors import StoreError

if TYPE_CHECKING:
    from slipway.store import Run, Stage

LONGEST_ERROR = 1500
"""Characters of an error in a message."""

log = logging.getLogger(__name__)


def tell_success(context: Any) -> None:
    """Notify of a run that ended well."""
    _tell(context["dag_run"], failed=False)


def tell_failure(context: Any) -> None:
    """Notify of a run that failed, with what is known of why."""
    _tell(context["dag_run"], failed=True)


def _tell(dag_run: Any, *, failed: bool) -> None:
    """A message that cannot be made or sent changes nothing but the log."""
    from slipway.hooks.notify import notify
    from slipway.hooks.settings import notify_conn, run_url
    from slipway.operators.recording import open_results

    try:
        with open_results() as store:
            run = store.run(dag_run.dag_id, dag_run.run_id)
            stages = store.stages(run.id) if run else []
    except StoreError as error:
        log.error("no notification of the end of %s: %s", dag_run.run_id, error)  # noqa: TRY400
        return
    said = body(run, stages, run_url(dag_run.dag_id, dag_run.run_id), failed=failed)
    notify(notify_conn(), title(dag_run.dag_id, run, stages, failed=failed), said, "failure" if failed else "success")


def title(dag_id: str, run: Run | None, stages: Sequence[Stage], *, failed: bool) -> str:
    """``demo.deploy failed at ready``, or ``demo.deploy ended well: same``."""
    if failed:
        at = f" at {stage.name}" if (stage := _failed(stages)) else ""
        return f"{_named(dag_id, run)} failed{at}"
    verdict = f": {run.verdict}" if run and run.verdict else ""
    return f"{_named(dag_id, run)} ended well{verdict}"


def body(run: Run | None, stages: Sequence[Stage], place: str, *, failed: bool) -> str:
    """Why the run was begun, the failure with its diagnosis, the verdict, what was put back, and the link."""
    lines = [f"reason: {run.reason}"] if run and run.reason else []
    stage = _failed(stages) if failed else None
    if stage:
        lines.append(_short(stage.error))
    if run and run.verdict:
        lines.append(f"verdict: {run.verdict} ({run.verdict_reason})")
    if put_back := run.snapshot.get("restore") if run and failed else None:
        lines.append(f"not promoted: {put_back['why']}\n{put_back['outcome']}")
    if failed and not stage and not put_back:
        lines.append("no stage says why: see the run's tasks")
    return "\n".join([*lines, place])


def _named(dag_id: str, run: Run | None) -> str:
    return f"{dag_id} (rehearsal)" if run and run.rehearsal else dag_id


def _failed(stages: Sequence[Stage]) -> Stage | None:
    """The stage that failed last: that of which the run has failed."""
    return next((stage for stage in reversed(stages) if stage.state == "failed"), None)


def _short(error: str) -> str:
    """The beginning of a long error, and its end, where the diagnosis stands."""
    if len(error) <= LONGEST_ERROR:
        return error
    half = LONGEST_ERROR // 2
    return f"{error[:half]}\n[...]\n{error[-half:]}"
