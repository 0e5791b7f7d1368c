"""A failed stage explained: what the hosts tell of it is kept beside the run, and its cause is named."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from slipway.errors import SlipwayError, StoreError

if TYPE_CHECKING:
    from slipway.spec import DeploymentSpec
    from slipway.stages.evidence import Evidence
    from slipway.store import Store

EXPLAINED = frozenset({"ray_cluster", "network", "serve", "ready", "smoke", "liveness"})
"""Stages that fail by what programs on the hosts do."""

log = logging.getLogger(__name__)


class Failed(Protocol):
    """A stage that has failed, while it is being recorded."""

    store: Store
    run_id: int
    spec: DeploymentSpec
    lock: str
    detail: dict[str, Any]


def explain_failure(recording: Failed, stage: str, try_number: int, error: SlipwayError) -> None:
    """Gather the evidence, find the cause, and put it into the error, the stage's detail and the run's snapshot.

    A cause that only a change can help against forbids the retry. The failure itself is never hidden: where evidence
    cannot be had, the log says so.
    """
    if stage not in EXPLAINED or isinstance(error, StoreError):
        return
    from slipway.diagnosis import Kind, told
    from slipway.stages import evidence

    began = time.monotonic()
    since = recording.store.run_by_id(recording.run_id).started_at.timestamp()
    found = _gathered(recording, since)
    cause = evidence.explain(recording.spec, found, stage, since, str(error))
    folder = _folder(recording, stage, try_number)
    data = {**(cause.data() if cause else _unknown(found)), "stage": stage, "evidence": str(folder)}
    error.explanation = f"{told(data)}\n  evidence: {folder}"
    error.transient = error.transient and not (cause and cause.kind in (Kind.PERMANENT, Kind.SECURITY))
    _keep(found, folder)
    recording.detail = {**recording.detail, "diagnosis": data}
    recording.store.add_snapshot(recording.run_id, {"diagnosis": data})
    log.error("explained in %.1f s:\n%s", time.monotonic() - began, error.explanation)


def _gathered(recording: Failed, since: float) -> Evidence:
    from slipway.hooks.hosts import open_site
    from slipway.stages import evidence

    with open_site(recording.spec, recording.lock, log.info, partial=True) as site:
        return evidence.gather(site, since)


def _unknown(found: Evidence) -> dict[str, Any]:
    """In the form of a diagnosis: nothing of an earlier one is left beside it in the snapshot."""
    cause = "unknown: no signature is known in what the hosts tell"
    told = {"id": "unknown", "cause": cause, "advice": "read the evidence", "host": ", ".join(found.bundles)}
    return {**dict.fromkeys(("kind", "phase", "key")), **dict.fromkeys(("log", "role", "line"), ""), **told}


def _folder(recording: Failed, stage: str, try_number: int) -> Path:
    from slipway.hooks.settings import artifacts_folder

    return artifacts_folder() / f"run-{recording.run_id}" / f"evidence-{stage}-{try_number}"


def _keep(found: Evidence, folder: Path) -> None:
    """Write every file below its host's name, for this user alone."""
    silent = {f"{name}/no-evidence.txt": f"{error}\n" for name, error in found.silent.items()}
    files = {f"{name}/{file}": text for name, each in found.bundles.items() for file, text in each.files.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, text in {**files, **silent}.items():
            path = folder.joinpath(*(part for part in name.split("/") if part not in ("", ".", "..")))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        log.warning("the evidence could not be kept in %s: %s", folder, error)
