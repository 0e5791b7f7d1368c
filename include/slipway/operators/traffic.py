"""The task that moves clients to a new revision, between its verdict and its promotion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from slipway.operators.beside import TRAFFIC, keep_commands, move_traffic
from slipway.operators.links import LINKS
from slipway.operators.recording import Recording, recorded
from slipway.operators.redeploy import require_good

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context


class TrafficOperator(BaseOperator):
    """Has the router send to this run's server alone, waits until the old one has no request left, and stops it.

    What the verdict refuses gets no traffic. Tried again, it goes on where it was.
    """

    custom_operator_name = "Traffic"
    operator_extra_links = LINKS

    def execute(self, context: Context) -> dict[str, Any]:
        with recorded(context, TRAFFIC) as recording:
            require_good(recording)
            store, spec = recording.store, recording.spec
            old = _old(recording)
            outcome = move_traffic(recording, spec, self.log.info)
            store.set_current(recording.run_id, recording.revision_id, spec.entrance)
            retired = self._retire(recording, old) if old else {}
            told = {**outcome.detail, **({"from": old} if old else {}), **retired}
            store.add_snapshot(recording.run_id, {TRAFFIC: told})
            recording.actions += outcome.actions
            recording.detail = {**recording.detail, **told}
        return {"actions": recording.actions}

    def _retire(self, recording: Recording, revision_id: str) -> Mapping[str, Any]:
        """Stop the old server once it has no request left; its hosts are the spare ones then."""
        from slipway.hooks.hosts import open_site
        from slipway.stages import teardown, traffic

        spec, lock = recording.store.spec(revision_id), recording.store.lock(revision_id)
        within_s = recording.spec.beside.drain_s if recording.spec.beside else 0
        with open_site(spec, lock, self.log.info) as site:
            drained = traffic.drained(site, within_s)
            try:
                recording.actions += teardown.converge(site).actions
            finally:
                keep_commands(recording, site)
        return drained


def _old(recording: Recording) -> str | None:
    """The revision that clients have had before, on the other side; kept with the run, for a try that comes after."""
    store = recording.store
    known: str | None = store.run_by_id(recording.run_id).snapshot.get(TRAFFIC, {}).get("from")
    if known or not recording.serves_elsewhere:
        return known
    current = store.current(recording.spec.name)
    if current is None:
        return None
    store.add_snapshot(recording.run_id, {TRAFFIC: {"from": current.revision_id}})
    return current.revision_id
