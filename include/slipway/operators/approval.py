"""A person's word before a revision is promoted, by Airflow's own human-in-the-loop operator."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.exceptions import HITLRejectException, HITLTimeoutError
from airflow.providers.standard.operators.hitl import ApprovalOperator

from slipway.errors import NotPromoted
from slipway.operators.links import LINKS
from slipway.operators.recording import Recording, recorded
from slipway.operators.redeploy import APPROVE, require_good

if TYPE_CHECKING:
    from airflow.sdk import Context


class ApproveOperator(ApprovalOperator):
    """Waits for a person's answer, and holds no worker meanwhile. What the verdict refuses is not asked about."""

    custom_operator_name = "Approve"
    operator_extra_links = LINKS

    def __init__(self, *, deployment: str, within_s: int, **kwargs: Any) -> None:
        subject = f"Promote the new revision of {deployment}?"
        within = timedelta(seconds=within_s)
        super().__init__(subject=subject, response_timeout=within, fail_on_reject=True, **kwargs)

    def execute(self, context: Context) -> None:
        with recorded(context, APPROVE) as recording:
            require_good(recording)
            self.body = _question(recording)
            super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> None:
        """Called with the answer. Raises NotPromoted for a no, and for none in time."""
        with recorded(context, APPROVE) as recording:
            try:
                answer = super().execute_complete(context, event)
            except HITLRejectException as error:
                raise NotPromoted("a person has rejected it", hint="ask that person") from error
            except HITLTimeoutError as error:
                raise NotPromoted("nobody has approved it in time", hint="deploy it again") from error
            user = answer["responded_by_user"] or {}
            recording.detail = {"answer": answer["chosen_options"], "by": user.get("name", "")}


def _question(recording: Recording) -> str:
    """What a person needs to know, as Markdown."""
    from slipway.results.redeploy import told

    run = recording.store.run_by_id(recording.run_id)
    lines = "\n".join(told(run.snapshot))
    return f"Revision {recording.revision_id}, verdict **{run.verdict}**: {run.verdict_reason}\n\n```\n{lines}\n```"
