"""A source is held against its own manifest, and against what the same files held when they were staged before."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slipway.remote.refusal import Refused
from slipway.remote.weights.verbs import VERBS

MakeModel = Callable[..., Path]
CHUNK_BYTES = 16_384
SHARD = "model-00002-of-00003.safetensors"
FLIPPED = f"{SHARD} at byte {3 * CHUNK_BYTES} of the source differs from "


def ask(verb: str, source: Path, **more: Any) -> dict[str, Any]:
    store = str(source.parent / "store" / "tiny")
    return VERBS[verb]({"source": str(source), "store": store, "chunk_bytes": CHUNK_BYTES, **more})


def flip(path: Path, offset: int) -> None:
    """Change one byte in place: size and modification time stay."""
    seen = path.stat()
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))


def published(source: Path) -> list[str]:
    return [path.name for path in (source.parent / "store" / "tiny").iterdir() if not path.name.startswith(".")]


def test_a_manifest_is_taken_once_and_names_what_is_staged(make_model: MakeModel) -> None:
    source = make_model()
    assert ask("look", source)["source_digest"] is None
    taken = ask("manifest", source)
    assert taken["read_bytes"] == taken["bytes"]
    assert ask("manifest", source) | {"seconds": 0} == taken | {"seconds": 0, "read_bytes": 0}
    assert ask("look", source)["source_digest"] == taken["digest"] == ask("copy", source)["digest"]
    assert ask("look", source)["current"]


def test_the_chunks_are_as_long_as_those_of_the_manifest(make_model: MakeModel) -> None:
    source = make_model()
    digest = ask("manifest", source, chunk_bytes=2 * CHUNK_BYTES)["digest"]
    assert ask("copy", source)["digest"] == digest


def test_a_byte_that_flipped_in_the_source_is_named_and_nothing_is_published(make_model: MakeModel) -> None:
    source = make_model()
    ask("manifest", source)
    flip(source / SHARD, 3 * CHUNK_BYTES + 5)
    with pytest.raises(Refused, match=f"^{FLIPPED}the manifest beside the source; nothing was published") as refused:
        ask("copy", source)
    assert "take its manifest anew" in refused.value.hint
    assert published(source) == []

    flip(source / SHARD, 3 * CHUNK_BYTES + 5)
    done = ask("copy", source)
    assert done["copied_bytes"] < done["bytes"]
    assert VERBS["verify"]({"path": done["path"]})["ok"]


def test_a_flipped_byte_that_was_copied_before_the_manifest_was_there_is_no_resume(make_model: MakeModel) -> None:
    source = make_model()
    good = ask("manifest", source)["digest"]
    (source / "slipway-manifest.json").rename(source.parent / "aside")
    flip(source / SHARD, 3 * CHUNK_BYTES + 5)
    bad = ask("copy", source)["digest"]
    assert bad != good
    (source.parent / "aside").rename(source / "slipway-manifest.json")
    assert not ask("look", source)["current"]
    flip(source / SHARD, 3 * CHUNK_BYTES + 5)
    assert ask("copy", source)["digest"] == good
    assert ask("look", source)["staged"]["digest"] == good


def test_a_source_that_rotted_since_it_was_staged_does_not_replace_a_damaged_copy(make_model: MakeModel) -> None:
    source = make_model()
    staged = Path(ask("copy", source)["path"])
    flip(staged / SHARD, 0)
    assert not VERBS["verify"]({"path": str(staged)})["ok"]
    flip(source / SHARD, 3 * CHUNK_BYTES + 5)
    with pytest.raises(Refused, match=f"^{FLIPPED}what the same files held when {staged.name[:12]} was staged"):
        ask("copy", source)
    assert staged.exists()

    flip(source / SHARD, 3 * CHUNK_BYTES + 5)
    assert ask("copy", source)["path"] == str(staged)


def test_a_change_that_is_meant_is_touched_and_staged(make_model: MakeModel) -> None:
    source = make_model()
    staged = Path(ask("copy", source)["path"])
    flip(source / SHARD, 3 * CHUNK_BYTES + 5)
    os.utime(source / SHARD)
    assert ask("copy", source)["path"] != str(staged)


def test_files_that_are_not_those_of_the_manifest_are_named_before_the_first_byte(make_model: MakeModel) -> None:
    source = make_model()
    (source / "notes.txt").write_text("one")
    ask("manifest", source)
    (source / "notes.txt").unlink()
    (source / "more.txt").write_text("two")
    (source / "tokenizer.json").write_text('{"version": "1.0.1"}')
    problems = [
        "more.txt: does not stand in the manifest beside the source",
        "notes.txt: is missing, though the manifest beside the source names it",
        "tokenizer.json: has 20 bytes, the manifest beside the source says 18",
    ]
    assert ask("look", source)["problems"] == problems
    with pytest.raises(Refused, match=r"no whole model:\nmore\.txt: does not stand"):
        ask("copy", source)
    assert published(source) == []
    ask("manifest", source, anew=True)
    assert ask("look", source)["problems"] == []


def test_a_damaged_manifest_is_named(make_model: MakeModel) -> None:
    source = make_model()
    (source / "slipway-manifest.json").write_text("{")
    assert "slipway-manifest.json: not a manifest of Slipway" in ask("look", source)["problems"][0]
    with pytest.raises(Refused, match=r"slipway-manifest\.json: not a manifest of Slipway"):
        ask("copy", source)


def test_of_no_whole_model_no_manifest_is_taken(make_model: MakeModel) -> None:
    source = make_model()
    (source / SHARD).unlink()
    with pytest.raises(Refused, match=f"no whole model:\n{SHARD}: is missing"):
        ask("manifest", source)
    assert not (source / "slipway-manifest.json").exists()


def test_a_pickle_file_is_staged_where_the_file_names_it(make_model: MakeModel) -> None:
    source = make_model()
    for name in ("training_args.bin", "optimizer.pt"):
        (source / name).write_bytes(b"pickle")
    allowed = {"allow_pickle": ["training_args.bin"]}
    assert [line.split(":")[0] for line in ask("look", source, **allowed)["problems"]] == ["optimizer.pt"]
    with pytest.raises(Refused, match=r"optimizer\.pt: is a pickle file"):
        ask("copy", source, **allowed)
    (source / "optimizer.pt").unlink()
    assert (Path(ask("copy", source, **allowed)["path"]) / "training_args.bin").read_bytes() == b"pickle"
