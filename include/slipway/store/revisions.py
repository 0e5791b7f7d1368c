"""Revisions: what was asked for; which of them runs, and which was good."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from datetime import UTC, datetime

from pydantic import ValidationError
from sqlalchemy import case, delete

from slipway.errors import StoreError
from slipway.spec import DeploymentSpec, canonical, parse_canonical, revision_id
from slipway.store.database import Database, existing, insert_into, record
from slipway.store.models import CurrentRow, LockRow, PromotedRow, RevisionRow
from slipway.store.records import Current, Promoted

WORKLOAD_FIELDS = ("endpoint", "prompt_tokens", "output_tokens", "ignore_eos", "temperature")
"""What of ``benchmark`` is asked of the server; the rest is how it is measured."""

LATER_FIELDS = ("dataset", "shared_prefix_tokens", "url")
"""The same, of which nothing is said where nothing is set: so older revisions keep the id of their workload."""


def workload_id(spec: DeploymentSpec) -> str:
    """12 hexadecimal digits, equal for specs whose benchmarks may be compared: same model, requests and hosts."""
    asked = {name: getattr(spec.benchmark, name) for name in WORKLOAD_FIELDS}
    asked |= {name: value for name in LATER_FIELDS if (value := getattr(spec.benchmark, name))}
    if any(level.peak and not level.closed for level in spec.benchmark.levels):
        asked["arrivals"] = spec.benchmark.arrivals
    hosts = [[host.address, host.gpus] for host in spec.hosts]
    if spec.beside:
        hosts = sorted([host.address, host.gpus] for host in spec.machines)
    text = json.dumps([spec.weights.name, asked, hosts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


class Revisions(Database):
    """Specs by their id, and what each deployment runs now."""

    def save_revision(self, spec: DeploymentSpec, lock: str = "") -> str:
        """Keep ``spec`` with the text of its lock file, and give the revision's id. The same is kept once."""
        revision, digest = revision_id(spec, lock), hashlib.sha256(lock.encode()).hexdigest()[:12]
        with self._writing() as session:
            lock_row = insert_into(session, LockRow).values(digest=digest, text=lock)
            session.execute(lock_row.on_conflict_do_nothing(index_elements=["digest"]))
            insert = insert_into(session, RevisionRow).values(
                id=revision,
                deployment=spec.name,
                spec=canonical(spec),
                lock_digest=digest,
                workload=workload_id(spec),
                rehearsal=spec.rehearsal,
                created_at=datetime.now(UTC),
            )
            session.execute(insert.on_conflict_do_nothing(index_elements=["id"]))
        return revision

    def lock(self, revision_id: str) -> str:
        """The text of the lock file that a revision serves with; empty for an existing environment."""
        with self._reading() as session:
            return existing(session, LockRow, existing(session, RevisionRow, revision_id).lock_digest).text

    def spec(self, revision_id: str) -> DeploymentSpec:
        """The spec of a revision. Raises :class:`StoreError` where there is none, or this version cannot read it."""
        with self._reading() as session:
            text = existing(session, RevisionRow, revision_id).spec
        try:
            return parse_canonical(text)
        except ValidationError as error:
            hint = "deploy its file again: this version of Slipway has another format"
            raise StoreError(f"revision {revision_id}: {error}", hint=hint) from error

    def set_current(self, run_id: int, revision_id: str, endpoint: str, state: str = "serving") -> None:
        """From now on the revision's deployment runs it at ``endpoint``; ``since`` stays when it already did."""
        with self._writing() as session:
            revision = existing(session, RevisionRow, revision_id)
            fresh = Current(revision.deployment, revision_id, run_id, endpoint, datetime.now(UTC), state)
            insert = insert_into(session, CurrentRow).values(**asdict(fresh))
            since = case((CurrentRow.revision_id == revision_id, CurrentRow.since), else_=fresh.since)
            over = {**asdict(fresh), "since": since}
            session.execute(insert.on_conflict_do_update(index_elements=["deployment"], set_=over))

    def clear_current(self, deployment: str) -> None:
        """The deployment runs nothing any more, and nothing is to be put back."""
        with self._writing() as session:
            for table in (CurrentRow, PromotedRow):
                session.execute(delete(table).where(table.deployment == deployment))

    def promote(self, run_id: int, revision_id: str) -> None:
        """From now on this is the last good revision of its deployment, as ``run_id`` found it."""
        with self._writing() as session:
            deployment = existing(session, RevisionRow, revision_id).deployment
            values = {"revision_id": revision_id, "run_id": run_id, "since": datetime.now(UTC)}
            insert = insert_into(session, PromotedRow).values(deployment=deployment, **values)
            session.execute(insert.on_conflict_do_update(index_elements=["deployment"], set_=values))

    def promoted(self, deployment: str) -> Promoted | None:
        """The last good revision, None where none was promoted since the last teardown."""
        with self._reading() as session:
            row = session.get(PromotedRow, deployment)
            return record(Promoted, row) if row else None

    def current(self, deployment: str) -> Current | None:
        """What the deployment runs now, None for nothing."""
        with self._reading() as session:
            row = session.get(CurrentRow, deployment)
            return record(Current, row) if row else None
