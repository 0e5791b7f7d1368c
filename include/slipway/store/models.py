"""The tables. Rows stay inside ``store``; callers get the records of :mod:`slipway.store.records`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Composite, DeclarativeBase, Mapped, composite, mapped_column

from slipway.results import Distribution
from slipway.store.columns import PlainText, UtcDateTime

FIGURES = ("mean", "min", "p50", "p90", "p95", "p99", "max")
"""Columns of a distribution after its count, in the order of :class:`Distribution`'s fields."""


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        }
    )


class LockRow(Base):
    """The text of a lock file, once for all revisions that serve with it."""

    __tablename__ = "slipway_lock"

    digest: Mapped[str] = mapped_column(String(12), primary_key=True)
    text: Mapped[str] = mapped_column(PlainText)


class RevisionRow(Base):
    """A deployment as it was asked for, immutable: the same spec and lock file are the same row."""

    __tablename__ = "slipway_revision"

    id: Mapped[str] = mapped_column(String(12), primary_key=True)
    deployment: Mapped[str] = mapped_column(String(63), index=True)
    spec: Mapped[str] = mapped_column(PlainText)
    lock_digest: Mapped[str] = mapped_column(ForeignKey("slipway_lock.digest"))
    workload: Mapped[str] = mapped_column(String(12))
    rehearsal: Mapped[bool] = mapped_column(Boolean)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class RunRow(Base):
    """One DAG run of one job."""

    __tablename__ = "slipway_run"
    __table_args__ = (
        UniqueConstraint("dag_id", "dag_run_id"),
        Index(None, "deployment", "started_at"),
        Index(None, "deployment", "point"),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    deployment: Mapped[str] = mapped_column(String(63))
    revision_id: Mapped[str | None] = mapped_column(ForeignKey("slipway_revision.id"), index=True)
    job: Mapped[str] = mapped_column(String(32))
    dag_id: Mapped[str] = mapped_column(String(250))
    dag_run_id: Mapped[str] = mapped_column(String(250))
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(PlainText)
    conf: Mapped[dict[str, Any]] = mapped_column(JSON)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    snapshot: Mapped[dict[str, Any]] = mapped_column(JSON)
    verdict: Mapped[str | None] = mapped_column(String(32))
    verdict_reason: Mapped[str] = mapped_column(PlainText)
    rehearsal: Mapped[bool] = mapped_column(Boolean)
    point: Mapped[str | None] = mapped_column(String(12))


class StageRow(Base):
    """One try of one task of a run."""

    __tablename__ = "slipway_stage"
    __table_args__ = (UniqueConstraint("run_id", "name", "map_index", "try_number"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("slipway_run.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(250))
    map_index: Mapped[int] = mapped_column(Integer)
    try_number: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(String(16))
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    seconds: Mapped[float | None] = mapped_column(Double)
    actions: Mapped[int] = mapped_column(Integer)
    detail: Mapped[dict[str, Any]] = mapped_column(JSON)
    error: Mapped[str] = mapped_column(PlainText)


class SmokeRow(Base):
    """One of the first questions to a fresh server, and how it was answered."""

    __tablename__ = "slipway_smoke_check"
    __table_args__ = (UniqueConstraint("run_id", "name"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("slipway_run.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(63))
    passed: Mapped[bool] = mapped_column(Boolean)
    detail: Mapped[str] = mapped_column(PlainText)
    seconds: Mapped[float] = mapped_column(Double)
    transcript: Mapped[dict[str, Any]] = mapped_column(JSON)


def _distribution(metric: str) -> Composite[Distribution | None]:
    """The eight columns of one metric, all null where there is no distribution."""
    count = mapped_column(f"{metric}_count", BigInteger, nullable=True)
    figures = (mapped_column(f"{metric}_{figure}", Double, nullable=True) for figure in FIGURES)
    return composite(Distribution, count, *figures, return_none_on=lambda *values: set(values) == {None})


class CellRow(Base):
    """One load level of one run. ``deployment`` and ``revision_id`` are those of the run when it was measured.

    What can be null beside the distributions, cells of earlier versions lack.
    """

    __tablename__ = "slipway_cell"
    __table_args__ = (
        UniqueConstraint("run_id", "users", "rate", "shape"),
        Index(None, "deployment", "users", "started_at"),
        Index(None, "deployment", "revision_id", "started_at"),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("slipway_run.id", ondelete="CASCADE"))
    deployment: Mapped[str] = mapped_column(String(63))
    revision_id: Mapped[str] = mapped_column(ForeignKey("slipway_revision.id"))
    users: Mapped[int] = mapped_column(Integer)
    spawn_rate: Mapped[float] = mapped_column(Double)
    processes: Mapped[int] = mapped_column(Integer)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    window_s: Mapped[float] = mapped_column(Double)
    requests: Mapped[int] = mapped_column(BigInteger)
    errors: Mapped[dict[str, int]] = mapped_column(JSON)
    prompt_tokens: Mapped[int] = mapped_column(BigInteger)
    output_tokens: Mapped[int] = mapped_column(BigInteger)
    requests_per_s: Mapped[float] = mapped_column(Double)
    output_tokens_per_s: Mapped[float] = mapped_column(Double)
    ttft: Mapped[Distribution | None] = _distribution("ttft")
    itl: Mapped[Distribution | None] = _distribution("itl")
    tpot: Mapped[Distribution | None] = _distribution("tpot")
    e2e: Mapped[Distribution | None] = _distribution("e2e")
    validity: Mapped[str] = mapped_column(String(16))
    reasons: Mapped[list[str]] = mapped_column(JSON)
    client: Mapped[dict[str, float]] = mapped_column(JSON)
    server: Mapped[dict[str, float]] = mapped_column(JSON)
    histograms: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    rate: Mapped[float] = mapped_column(Double, server_default="0")
    shape: Mapped[str] = mapped_column(String(500), server_default=text("''"))
    scheduled: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    goodput: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    gpu: Mapped[dict[str, float] | None] = mapped_column(JSON(none_as_null=True))
    series: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    repeats: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    artifacts: Mapped[str] = mapped_column(PlainText)
    try_number: Mapped[int] = mapped_column(Integer)


class PointRow(Base):
    """One point of a sweep, as far as it has come; ``run_id`` is the run of the job ``point`` that measured it."""

    __tablename__ = "slipway_point"

    sweep_id: Mapped[int] = mapped_column(ForeignKey("slipway_run.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    words: Mapped[str] = mapped_column(PlainText)
    settings: Mapped[dict[str, Any]] = mapped_column(JSON)
    loads: Mapped[list[list[Any]]] = mapped_column(JSON)
    digest: Mapped[str | None] = mapped_column(String(12))
    state: Mapped[str] = mapped_column(String(16))
    cause: Mapped[str] = mapped_column(PlainText)
    run_id: Mapped[int | None] = mapped_column(ForeignKey("slipway_run.id", ondelete="SET NULL"))


class LeaseRow(Base):
    """Who holds a host, by its address, what for and until when."""

    __tablename__ = "slipway_lease"

    host: Mapped[str] = mapped_column(String(255), primary_key=True)
    deployment: Mapped[str] = mapped_column(String(63))
    run_id: Mapped[int] = mapped_column(ForeignKey("slipway_run.id", ondelete="CASCADE"), index=True)
    purpose: Mapped[str] = mapped_column(PlainText)
    until: Mapped[datetime] = mapped_column(UtcDateTime)


class RestartRow(Base):
    """A server that its agent started again; ``at`` is when it had ended. ``run_id`` is the run that saw it first."""

    __tablename__ = "slipway_restart"
    __table_args__ = (UniqueConstraint("deployment", "host", "role", "at"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("slipway_run.id", ondelete="CASCADE"), index=True)
    deployment: Mapped[str] = mapped_column(String(63))
    host: Mapped[str] = mapped_column(String(63))
    role: Mapped[str] = mapped_column(String(128))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    cause: Mapped[str] = mapped_column(String(63))
    reason: Mapped[str] = mapped_column(PlainText)


class CurrentRow(Base):
    """The revision of each deployment that is running now."""

    __tablename__ = "slipway_current"

    deployment: Mapped[str] = mapped_column(String(63), primary_key=True)
    revision_id: Mapped[str] = mapped_column(ForeignKey("slipway_revision.id"))
    run_id: Mapped[int] = mapped_column(ForeignKey("slipway_run.id"))
    endpoint: Mapped[str] = mapped_column(PlainText)
    since: Mapped[datetime] = mapped_column(UtcDateTime)
    state: Mapped[str] = mapped_column(String(16))


class PromotedRow(Base):
    """The last good revision of each deployment, and the run that promoted it."""

    __tablename__ = "slipway_promoted"

    deployment: Mapped[str] = mapped_column(String(63), primary_key=True)
    revision_id: Mapped[str] = mapped_column(ForeignKey("slipway_revision.id"))
    run_id: Mapped[int] = mapped_column(ForeignKey("slipway_run.id"))
    since: Mapped[datetime] = mapped_column(UtcDateTime)
