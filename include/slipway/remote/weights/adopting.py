"""A download that lies beside the versions of a store, made a version of it without a copy."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

from slipway.remote.weights.listing import list_folder
from slipway.remote.weights.staging import record_of, seal
from slipway.remote.weights.taking import ReadOrder, read_manifest
from slipway.remote.weights.versions import ModelStore, Version


def fingerprint_of(origin: str) -> str:
    """Of what never changes: a repository at a commit, as ``hf:org/name@commit``."""
    return hashlib.sha256(origin.encode()).hexdigest()


def download_folder(store: ModelStore, origin: str) -> Path:
    """Where the files of an origin are downloaded to."""
    return store.path / f".hub-{fingerprint_of(origin)}"


def adopt_version(store: ModelStore, origin: str, order: ReadOrder, pickles: tuple[str, ...]) -> Version:
    """Take the digests of the downloaded files and publish them. The store's lock is held.

    Raises Refused where they are no whole model, with nothing published.
    """
    folder = download_folder(store, origin)
    model = list_folder(folder)
    manifest = read_manifest(replace(order, source=folder), model, pickles)
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    seal(folder, model, manifest, record_of(origin, fingerprint_of(origin), order.progress))
    return store.publish(folder, manifest)
