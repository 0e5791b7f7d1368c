"""The manifest: one text for one content, and refused where it is not what was written."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slipway.remote.weights.manifest import BadManifest, FileEntry, Manifest, load_manifest, manifest_of, parse_manifest

MANIFEST = Manifest(
    4, (FileEntry("a", 6, ("one", "two")), FileEntry("empty", 0, ()), FileEntry("sub/\udcff", 4, ("three",)))
)


def test_it_is_made_from_the_digests_of_the_chunks() -> None:
    sizes = [("a", 6), ("empty", 0), ("sub/\udcff", 4)]
    assert manifest_of(sizes, 4, {0: "one", 1: "two", 2: "three"}, "sha256") == MANIFEST
    assert [(chunk.name, chunk.offset, digest) for chunk, digest in MANIFEST.chunks()] == [
        ("a", 0, "one"),
        ("a", 4, "two"),
        ("sub/\udcff", 0, "three"),
    ]


def test_its_digest_is_that_of_its_file(tmp_path: Path) -> None:
    folder = tmp_path / MANIFEST.digest
    folder.mkdir()
    (folder / "slipway-manifest.json").write_bytes(MANIFEST.text)
    assert hashlib.sha256(MANIFEST.text).hexdigest() == MANIFEST.digest
    assert load_manifest(folder) == MANIFEST
    with pytest.raises(BadManifest, match="was changed"):
        load_manifest(folder.rename(tmp_path / "other"))


@pytest.mark.parametrize(
    "change",
    [
        {"files": None},
        {"chunk_bytes": 0},
        {"chunk_bytes": "4"},
        {"files": [{"name": "/etc/passwd", "size": 0, "chunks": []}]},
        {"files": [{"name": "a/../../b", "size": 0, "chunks": []}]},
        {"files": [{"name": "", "size": 0, "chunks": []}]},
        {"files": [{"name": "a", "size": 9, "chunks": ["one"]}]},
        {"files": [{"name": "a", "size": "9", "chunks": ["one"]}]},
        {"files": [{"name": 3, "size": 0, "chunks": []}]},
        {"files": [["a", 9, []]]},
    ],
)
def test_what_is_no_manifest_is_refused(change: dict[str, Any]) -> None:
    content = json.loads(MANIFEST.text) | change
    with pytest.raises(BadManifest, match="not a manifest of Slipway"):
        parse_manifest(json.dumps(content).encode())


def test_it_names_its_digest_where_that_is_not_sha256() -> None:
    other = replace(MANIFEST, algorithm="xxh3")
    assert parse_manifest(other.text) == other
    assert other.digest != MANIFEST.digest
    assert b"digest" not in MANIFEST.text
    with pytest.raises(BadManifest, match="of 'md5', which"):
        parse_manifest(replace(MANIFEST, algorithm="md5").text)


@pytest.mark.parametrize("text", [b"", b"[]", b"\xff", b"{}"])
def test_other_texts_are_refused(text: bytes) -> None:
    with pytest.raises(BadManifest, match="not a manifest of Slipway"):
        parse_manifest(text)
