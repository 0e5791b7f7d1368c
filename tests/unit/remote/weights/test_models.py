"""The model stores of a host: listed, adopted into, warmed, and pruned of what nothing uses."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from slipway.remote.agent.role import Role
from slipway.remote.refusal import Refused
from slipway.remote.request import Request
from slipway.remote.weights import measuring, pruning, warming
from slipway.remote.weights.adopting import download_folder
from slipway.remote.weights.models import VERBS
from slipway.remote.weights.verbs import VERBS as STAGE
from slipway.remote.weights.versions import ModelStore

MakeModel = Callable[..., Path]
ORIGIN = f"hf:org/tiny@{'a' * 40}"


def ask(verb: str, root: Path, **more: Any) -> dict[str, Any]:
    places = {"models": str(root / "models"), "agents": str(root / "agents"), "keep": {"own": ""}}
    return VERBS[verb](Request({**places, **more}))


@pytest.fixture
def stage(make_model: MakeModel, tmp_path: Path) -> Callable[..., Path]:
    """Stages a model of its own bytes under a name; answers the version's folder. Each was used later than the last."""
    times = iter(range(1_000, 2_000))

    def staged(name: str, number: int) -> Path:
        source = make_model(f"source-{name}-{number}", shards=1 + number)
        done = STAGE["copy"]({"source": str(source), "store": str(tmp_path / "models" / name)})
        path, used = Path(done["path"]), next(times)
        os.utime(path / "slipway-source.json", (used, used))
        return path

    return staged


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Lets a role live whose step has these arguments."""
    locks = []

    def start(name: str, *argv: str) -> None:
        role = Role(tmp_path / "agents", name)
        role.make()
        locks.append(role.claim())
        role.save({"role": name, "argv": list(argv)})

    yield start
    for lock in locks:
        os.close(lock)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def test_every_version_is_listed_with_what_uses_it(stage, serve, tmp_path) -> None:
    old, new = stage("tiny", 1), stage("tiny", 2)
    serve("demo.vllm", "python", "-m", "vllm", f"--model={old}", "--port=1")
    serve("other.ray-worker", "ray", "start")
    seen = ask("list", tmp_path)
    listed = {version["path"]: version for version in seen["versions"]}
    assert {path: version["used_by"] for path, version in listed.items()} == {str(old): ["demo.vllm"], str(new): []}
    assert {path for path, version in listed.items() if version["current"]} == {str(new)}
    assert listed[str(old)] | {"source": "", "used_at": 0} == {
        "model": "tiny",
        "digest": old.name,
        "path": str(old),
        "bytes": sum(path.stat().st_size for path in old.iterdir() if not path.name.startswith("slipway-")),
        "current": False,
        "whole": True,
        "source": "",
        "used_at": 0,
        "used_by": ["demo.vllm"],
    }
    assert seen["silent"] == ["other.ray-worker"]


def test_a_host_without_a_store(tmp_path) -> None:
    assert ask("list", tmp_path)["versions"] == []
    assert ask("prune", tmp_path)["removed"] == []


def test_what_nothing_uses_is_removed_and_what_is_served_stays(stage, serve, tmp_path) -> None:
    unused, served, before, other = stage("tiny", 1), stage("tiny", 2), stage("tiny", 3), stage("large", 1)
    serve("demo.vllm", f"--model={served}")
    assert ask("prune", tmp_path)["removed"] == [str(unused), str(other)]
    assert names(tmp_path / "models" / "tiny") == {"current", served.name, before.name}
    assert names(tmp_path / "models" / "large") == set()


def test_the_version_that_was_used_last_stays_of_the_models_that_go_on(stage, tmp_path) -> None:
    unused, last = stage("tiny", 1), stage("tiny", 2)
    assert ask("prune", tmp_path, model="tiny")["removed"] == [str(unused)]
    assert last.exists()


def test_a_role_that_ended_uses_nothing(stage, serve, tmp_path) -> None:
    version = stage("tiny", 1)
    role = Role(tmp_path / "agents", "demo.vllm")
    role.make()
    role.save({"role": "demo.vllm", "argv": [f"--model={version}"]})
    assert ask("prune", tmp_path)["removed"] == [str(version)]


def test_the_least_recently_used_go_first_and_no_more_than_must(stage, tmp_path, monkeypatch) -> None:
    first, second, third = stage("tiny", 1), stage("large", 1), stage("tiny", 2)
    os.utime(first / "slipway-source.json", (5_000, 5_000))
    monkeypatch.setattr(pruning, "free_bytes", lambda _: 100 * (3 - len(ask("list", tmp_path)["versions"])))
    assert ask("prune", tmp_path, free_bytes=200)["removed"] == [str(second), str(third)]
    assert first.exists()


def test_what_a_ray_worker_serves_unseen_is_kept_by_its_deployment(stage, serve, tmp_path) -> None:
    served, unused, before = stage("tiny", 1), stage("tiny", 2), stage("tiny", 3)
    serve("pair.ray-worker", "ray", "start")
    with pytest.raises(Refused, match=r"pair\.ray-worker is alive here and does not say which model"):
        ask("prune", tmp_path)
    assert names(served.parent) == {"current", served.name, unused.name, before.name}
    assert ask("prune", tmp_path, keep={"pair": str(served)})["removed"] == [str(unused)]


def test_a_store_that_somebody_stages_into_is_left_alone(stage, tmp_path) -> None:
    version = stage("tiny", 1)
    with ModelStore(version.parent).open_lock(0):
        assert ask("prune", tmp_path)["removed"] == []
    assert version.exists()


def test_foreign_files_and_versions_without_a_sound_manifest_stay(stage, tmp_path) -> None:
    mine, strange = stage("tiny", 1), stage("large", 1)
    (mine / "notes.txt").write_text("mine")
    (strange / "slipway-manifest.json").write_text("{}")
    assert ask("prune", tmp_path)["removed"] == [str(mine)]
    assert [path.read_text() for path in mine.parent.rglob("notes.txt")] == ["mine"]
    assert strange.exists()


def test_warming_reads_the_version_and_notes_that_it_is_used(stage, tmp_path) -> None:
    version = stage("tiny", 1)
    warmed = ask("warm", tmp_path, path=str(version))
    assert (warmed["warmed"], warmed["bytes"] > 100_000) == (True, True)
    assert (version / "slipway-source.json").stat().st_mtime > 1_000_000


def test_a_model_that_memory_cannot_hold_is_not_read(stage, tmp_path, monkeypatch) -> None:
    version = stage("tiny", 1)
    size = ask("list", tmp_path)["versions"][0]["bytes"]
    for available, fits in ((size * 1.29, False), (size * 1.31, True)):
        monkeypatch.setattr(warming, "available_bytes", lambda available=available: available)
        assert ask("warm", tmp_path, path=str(version))["warmed"] is fits


def download(make_model: MakeModel, tmp_path: Path) -> Path:
    """What the hub's client leaves: the files, and its own notes in a hidden folder."""
    source, store = make_model("downloaded"), tmp_path / "models" / "tiny"
    (source / ".cache").mkdir()
    (source / ".cache" / "notes").write_text("x")
    store.mkdir(parents=True)
    return source.rename(download_folder(ModelStore(store), ORIGIN))


def ask_origin(verb: str, tmp_path: Path, **more: Any) -> dict[str, Any]:
    return VERBS[verb](Request({"store": str(tmp_path / "models" / "tiny"), "origin": ORIGIN, **more}))


def test_a_download_becomes_a_version_without_a_copy(make_model, tmp_path) -> None:
    folder = download(make_model, tmp_path)
    inode = (folder / "config.json").stat().st_ino
    assert not ask_origin("look", tmp_path)["current"]
    done = ask_origin("adopt", tmp_path)
    version = Path(done["path"])
    assert (version / "config.json").stat().st_ino == inode
    assert not (version / ".cache").exists()
    seen = ask_origin("look", tmp_path)
    assert (seen["current"], seen["staged"]["digest"], seen["bytes"]) == (True, done["digest"], done["bytes"])
    assert STAGE["verify"]({"path": str(version)})["ok"]
    assert ask_origin("adopt", tmp_path) == done


def test_a_download_has_the_digests_that_were_asked_for(make_model, tmp_path) -> None:
    download(make_model, tmp_path)
    version = Path(ask_origin("adopt", tmp_path, digest="xxh3")["path"])
    assert STAGE["verify"]({"path": str(version)})["ok"]
    assert [ask_origin("look", tmp_path, digest=each)["current"] for each in ("xxh3", "sha256")] == [True, False]


def test_a_download_that_is_no_whole_model_is_not_published(make_model, tmp_path) -> None:
    folder = download(make_model, tmp_path)
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(Refused, match=r"model-00002-of-00003\.safetensors: is missing"):
        ask_origin("adopt", tmp_path)
    assert names(folder.parent) == set()


def test_the_disk_is_measured_and_nothing_of_it_stays(stage, tmp_path) -> None:
    version = stage("tiny", 1)
    speeds = ask("measure", tmp_path, store=str(version.parent), seconds=10, limit_bytes=64 << 20)
    assert speeds["written_bytes_per_s"] > 1 << 20
    assert speeds["read_bytes_per_s"] > 1 << 20
    assert [path.name for path in version.parent.iterdir() if path.name.startswith(".")] == [".lock"]


def test_a_disk_without_room_is_not_measured(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(measuring, "free_bytes", lambda _: 1 << 20)
    speeds = ask("measure", tmp_path, store=str(tmp_path / "models" / "tiny"), seconds=0.5)
    assert speeds == {"written_bytes_per_s": None, "read_bytes_per_s": None}
