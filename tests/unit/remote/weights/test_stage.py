"""What the program answers, and what then lies in the store."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slipway.remote.refusal import Refused
from slipway.remote.weights import chunks
from slipway.remote.weights.verbs import VERBS

MakeModel = Callable[..., Path]
CHUNK_BYTES = 16_384
OWN = {"slipway-manifest.json", "slipway-source.json"}


def ask(verb: str, source: Path, /, **more: Any) -> dict[str, Any]:
    store = str(source.parent / "store" / "tiny")
    chunk = {"chunk_bytes": CHUNK_BYTES} if verb == "copy" else {}
    return VERBS[verb]({"source": str(source), "store": store, **chunk, **more})


def verify(path: str | Path) -> dict[str, Any]:
    return VERBS["verify"]({"path": str(path)})


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in OWN
    }


def flip(path: Path, offset: int) -> None:
    """Change one byte in place, as a failing disk would: size and modification time stay."""
    seen = path.stat()
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))


def test_look_at_an_empty_store(make_model: MakeModel) -> None:
    source = make_model()
    seen = ask("look", source)
    assert seen | {"fingerprint": "", "free_bytes": 0} == {
        "source_exists": True,
        "files": 6,
        "bytes": sum(path.stat().st_size for path in source.iterdir()),
        "fingerprint": "",
        "source_digest": None,
        "staged": None,
        "current": False,
        "needed_bytes": int(sum(path.stat().st_size for path in source.iterdir()) * 1.05),
        "free_bytes": 0,
        "problems": [],
    }
    assert len(seen["fingerprint"]) == 64
    assert seen["free_bytes"] > 0
    assert not (source.parent / "store").exists()


def test_look_for_a_source_that_is_not_there(tmp_path: Path) -> None:
    seen = ask("look", tmp_path / "none")
    assert not seen["source_exists"]
    assert not seen["current"]
    assert seen["problems"] == [f"the source {tmp_path / 'none'} cannot be read: No such file or directory"]


def test_a_staged_model_equals_its_source(make_model: MakeModel) -> None:
    source = make_model()
    staged = ask("copy", source)
    path, store = Path(staged["path"]), source.parent / "store" / "tiny"
    assert contents(path) == contents(source)
    assert path == store / staged["digest"]
    assert (store / "current").readlink() == Path(staged["digest"])
    assert {entry.name for entry in store.iterdir()} == {"current", ".lock", staged["digest"]}
    assert staged["copied_bytes"] == staged["bytes"] == sum(map(len, contents(source).values()))
    assert (staged["resumed_bytes"], staged["files"]) == (0, 6)


def test_what_is_staged_is_not_copied_again(make_model: MakeModel) -> None:
    source = make_model()
    first = ask("copy", source)
    seen = ask("look", source)
    assert seen["current"]
    assert seen["staged"].pop("took")["copied_bytes"] == first["bytes"]
    assert seen["staged"] == {"path": first["path"], "digest": first["digest"], "fingerprint": seen["fingerprint"]}
    again = ask("copy", source)
    assert again | {"seconds": 0} == first | {"seconds": 0, "copied_bytes": 0}


def test_an_unchanged_source_is_not_read(make_model: MakeModel) -> None:
    source = make_model()
    ask("copy", source)
    for path in source.iterdir():
        flip(path, 0)
    seen = ask("look", source)
    assert (seen["current"], seen["problems"]) == (True, [])
    assert ask("copy", source)["copied_bytes"] == 0


def test_every_host_shows_the_same_digest(make_model: MakeModel, tmp_path: Path) -> None:
    one, other = make_model("one"), make_model("other")
    assert ask("look", one)["fingerprint"] != ask("look", other)["fingerprint"]
    stores = [str(tmp_path / host / "tiny") for host in ("a", "b")]
    digests = {ask("copy", source, store=store)["digest"] for source, store in zip((one, other), stores, strict=True)}
    assert len(digests) == 1


def test_sub_folders_links_and_odd_names_are_staged_and_hidden_files_are_not(make_model: MakeModel) -> None:
    source = make_model()
    blob = source.parent / "blob"
    blob.write_bytes(b"blob" * 5000)
    (source / "linked.txt").symlink_to(blob)
    (source / "sub" / "deeper").mkdir(parents=True)
    odd = ["sub/deeper/x", "-rf", "a b\n'\"$(id)", "模型", os.fsdecode(b"\xff\xfe"), "empty"]
    for name in odd:
        (source / name).write_bytes(b"" if name == "empty" else os.fsencode(name))
    hidden = [".git/objects/x", ".cache/y", "sub/.z", ".gitattributes"]
    for name in hidden:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(b"hidden")
    staged = Path(ask("copy", source)["path"])
    assert contents(staged) == {name: data for name, data in contents(source).items() if name not in hidden}
    assert {*odd, "linked.txt"} <= contents(staged).keys()
    assert not (staged / "linked.txt").is_symlink()
    assert verify(staged)["ok"]


def test_a_new_source_is_a_new_version_and_the_old_one_stays(make_model: MakeModel) -> None:
    source = make_model()
    old = ask("copy", source)
    old_files, times = contents(source), {path: path.stat().st_mtime_ns for path in source.iterdir()}
    (source / "config.json").write_text('{"model_type": "qwen3"}')
    assert not ask("look", source)["current"]
    new = ask("copy", source)
    assert new["digest"] != old["digest"]
    assert ask("look", source)["staged"]["path"] == new["path"]
    assert contents(Path(old["path"])) == old_files

    (source / "config.json").write_bytes(old_files["config.json"])
    os.utime(source / "config.json", ns=(0, times[source / "config.json"]))
    assert not ask("look", source)["current"]
    assert ask("copy", source) | {"seconds": 0} == old | {"seconds": 0, "copied_bytes": 0}
    assert ask("look", source)["staged"]["path"] == old["path"]


def test_a_source_that_was_only_touched_keeps_the_version_that_may_be_in_use(make_model: MakeModel) -> None:
    source = make_model()
    first = ask("copy", source)
    inode = (Path(first["path"]) / "config.json").stat().st_ino
    os.utime(source / "config.json")
    assert not ask("look", source)["current"]
    assert ask("copy", source)["path"] == first["path"]
    assert ask("look", source)["current"]
    assert (Path(first["path"]) / "config.json").stat().st_ino == inode
    assert len(list(Path(first["path"]).parent.iterdir())) == 3


def test_a_staging_that_ended_before_the_link_is_finished(make_model: MakeModel) -> None:
    source = make_model()
    staged = ask("copy", source)
    link = Path(staged["path"]).parent / "current"
    link.unlink()
    assert ask("look", source)["staged"] is None
    assert ask("copy", source)["copied_bytes"] == 0
    assert link.readlink() == Path(staged["digest"])


def test_verify_names_the_file_and_the_offset_of_a_flipped_byte(make_model: MakeModel) -> None:
    source = make_model()
    staged = Path(ask("copy", source)["path"])
    name = "model-00002-of-00003.safetensors"
    assert verify(staged.parent / "current")["faults"] == []
    flip(staged / name, 3 * CHUNK_BYTES + 5)
    found = verify(staged)
    assert not found["ok"]
    assert found["faults"] == [{"file": name, "offset": 3 * CHUNK_BYTES, "fault": "differs from the manifest"}]


def test_verify_names_files_that_are_cut_missing_or_strange(make_model: MakeModel) -> None:
    staged = Path(ask("copy", make_model())["path"])
    os.truncate(staged / "model-00001-of-00003.safetensors", 40_000)
    (staged / "config.json").unlink()
    (staged / "evil.safetensors").write_bytes(b"x")
    found = verify(staged)
    assert found["faults"] == [
        {"file": "config.json", "offset": 0, "fault": "is missing"},
        {"file": "model-00001-of-00003.safetensors", "offset": 40_000, "fault": "has 40000 bytes, not 100118"},
    ]
    assert found["unlisted"] == ["evil.safetensors"]


def test_a_version_found_damaged_is_replaced(make_model: MakeModel) -> None:
    source = make_model()
    staged = Path(ask("copy", source)["path"])
    flip(staged / "model-00003-of-00003.safetensors", 50_000)
    assert ask("look", source)["current"]
    verify(staged)
    assert not ask("look", source)["current"]
    again = ask("copy", source)
    assert again["path"] == str(staged)
    assert again["copied_bytes"] == again["bytes"]
    assert ask("look", source)["current"]
    assert verify(staged)["ok"]
    assert {entry.name for entry in staged.parent.iterdir()} == {"current", ".lock", staged.name}


def test_a_version_that_lost_bytes_is_replaced_and_foreign_files_in_it_are_kept(make_model: MakeModel) -> None:
    source = make_model()
    staged = Path(ask("copy", source)["path"])
    os.truncate(staged / "tokenizer.json", 3)
    (staged / "notes.txt").write_text("mine")
    assert not ask("look", source)["current"]
    ask("copy", source)
    assert contents(staged) == contents(source)
    assert contents(staged.with_name(f".damaged-{staged.name}")) == {"notes.txt": b"mine"}


def test_a_changed_manifest_is_no_manifest(make_model: MakeModel) -> None:
    source = make_model()
    staged = Path(ask("copy", source)["path"])
    flip(staged / "slipway-manifest.json", 100)
    with pytest.raises(Refused, match="its digest is not"):
        verify(staged)
    assert not ask("look", source)["current"]
    ask("copy", source)
    assert verify(staged)["ok"]


def test_verify_of_a_folder_that_is_not_staged(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="No such file"):
        verify(tmp_path)


def test_a_fault_that_went_away_is_no_longer_held_against_a_version(make_model: MakeModel) -> None:
    source = make_model()
    staged = Path(ask("copy", source)["path"])
    for expected in (False, True):
        flip(staged / "config.json", 1)
        assert verify(staged)["ok"] is expected
        assert ask("look", source)["current"] is expected


def test_a_source_with_a_fault_is_refused_before_the_first_byte(make_model: MakeModel) -> None:
    source = make_model()
    (source / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(Refused, match=r"is no whole model:\nmodel-00002-of-00003\.safetensors: is missing"):
        ask("copy", source)
    assert ask("look", source)["problems"] == [
        "model-00002-of-00003.safetensors: is missing, though model.safetensors.index.json names it"
    ]
    assert [entry.name for entry in (source.parent / "store" / "tiny").iterdir()] == [".lock"]


@pytest.mark.parametrize("store", ["source", "source/store", "."])
def test_source_and_store_do_not_lie_inside_each_other(make_model: MakeModel, tmp_path: Path, store: str) -> None:
    source = make_model()
    with pytest.raises(Refused, match="lie inside each other"):
        ask("copy", source, store=str(tmp_path / store))
    assert "lie inside each other" in ask("look", source, store=str(tmp_path / store))["problems"][0]
    assert [path.name for path in tmp_path.rglob(".*")] == []


def test_what_is_not_ours_stays(make_model: MakeModel) -> None:
    source = make_model()
    store = source.parent / "store" / "tiny"
    foreign = ["notes.txt", ".partial-mine/x", "v1/model.safetensors", f".partial-{'0' * 63}/x"]
    ours = [f".partial-{'0' * 64}/x", f".partial-{'0' * 64}.journal"]
    for name in (*foreign, *ours):
        (store / name).parent.mkdir(parents=True, exist_ok=True)
        (store / name).write_text("data")
    ask("copy", source)
    assert all((store / name).exists() for name in foreign)
    assert not any((store / name).exists() for name in ours)


def test_a_folder_with_the_name_of_the_link_is_not_replaced(make_model: MakeModel) -> None:
    source = make_model()
    current = source.parent / "store" / "tiny" / "current"
    current.mkdir(parents=True)
    with pytest.raises(Refused, match="is not a link"):
        ask("copy", source)
    assert current.is_dir()


def test_too_little_space_is_said_before_the_first_byte(make_model: MakeModel, tmp_path: Path) -> None:
    source = make_model(shards=1)
    shard = source / "model-00001-of-00001.safetensors"
    size = 2 * ask("look", source)["free_bytes"]
    header = json.dumps({"layer.1": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    shard.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(shard, 8 + len(header) + size)
    with pytest.raises(Refused, match=r"has \d+\.\d\d GiB free, and \d+\.\d\d GiB are needed"):
        ask("copy", source)
    assert [entry.name for entry in (tmp_path / "store" / "tiny").iterdir()] == [".lock"]


def test_a_limit_is_kept(make_model: MakeModel) -> None:
    source = make_model()
    staged = ask("copy", source, limit_bytes_per_s=1_000_000)
    assert staged["seconds"] > 0.25


def test_progress_is_said(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(chunks, "TICK_S", 0.02)
    ask("copy", make_model(), limit_bytes_per_s=1_000_000)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("staged 0.0 of 0.0 GiB")
    assert " MiB/s, 0 s left\n" in said.err


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("source", "relative"),
        ("source", None),
        ("source", 3),
        ("store", ""),
        ("threads", 0),
        ("threads", True),
        ("threads", 65),
        ("chunk_bytes", 5000),
        ("chunk_bytes", 2**31),
        ("limit_bytes_per_s", 0),
        ("limit_bytes_per_s", "1G"),
    ],
)
def test_a_wrong_field_is_named(make_model: MakeModel, field: str, value: object) -> None:
    with pytest.raises(Refused, match=f"^{field}: "):
        ask("copy", make_model(), **{field: value})


class TestAnotherDigest:
    """``digest: xxh3`` from the copy to the verification."""

    def test_a_copy_is_verified_by_the_digest_that_it_was_made_with(self, make_model: MakeModel) -> None:
        source = make_model()
        staged = ask("copy", source, digest="xxh3")
        path = Path(staged["path"])
        assert contents(path) == contents(source)
        assert json.loads((path / "slipway-manifest.json").read_bytes())["digest"] == "xxh3"
        assert verify(path)["ok"]
        flip(path / "config.json", 3)
        assert [fault["file"] for fault in verify(path)["faults"]] == ["config.json"]

    def test_what_was_staged_with_another_one_is_not_current(self, make_model: MakeModel) -> None:
        source = make_model()
        first = ask("copy", source)
        assert not ask("look", source, digest="xxh3")["current"]
        other = ask("copy", source, digest="xxh3")
        assert (other["copied_bytes"], ask("look", source, digest="xxh3")["current"]) == (first["bytes"], True)
        assert other["digest"] != first["digest"]
        assert not ask("look", source)["current"]
        assert ask("copy", source)["copied_bytes"] == 0

    def test_a_manifest_beside_the_source_keeps_its_own(self, make_model: MakeModel) -> None:
        source = make_model()
        taken = ask("manifest", source, chunk_bytes=CHUNK_BYTES)
        staged = ask("copy", source, digest="xxh3")
        assert staged["digest"] == taken["digest"]
        assert ask("look", source, digest="xxh3")["current"]

    def test_a_source_that_fails_its_own_manifest_is_refused(self, make_model: MakeModel) -> None:
        source = make_model()
        ask("manifest", source, digest="xxh3")
        flip(source / "config.json", 3)
        with pytest.raises(Refused, match=r"config.json at byte 0 of the source differs from the manifest beside"):
            ask("copy", source)

    def test_an_unknown_one_is_refused(self, make_model: MakeModel) -> None:
        with pytest.raises(Refused, match="digest"):
            ask("copy", make_model(), digest="md5")
