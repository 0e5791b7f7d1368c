"""The weights stage on this machine, with a small model in the layout of a hub."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from slipway.errors import HostUnfit, StageError
from slipway.hosts import LocalHost
from slipway.spec import parse_deployment
from slipway.stages import model_store, weights
from slipway.stages.site import Site, act


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "shared" / "tiny"
    folder.mkdir(parents=True)
    header = json.dumps({"a": {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]}}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "tokenizer.json").write_text('{"version": "1.0"}')
    return folder


def site(tmp_path: Path, *, stage: bool | str = True) -> Site:
    text = f"""
version: 1
name: tiny
root: root
hosts: [{{name: here, address: 127.0.0.2}}]
environment: {{lock: one}}
weights: {{source: shared/tiny, name: tiny, stage: {str(stage).lower()}}}
serve: {{model_name: tiny}}
benchmark: {{levels: [{{users: 1}}]}}
"""
    opened = Site(
        parse_deployment(text, origin="tiny.yaml", base=tmp_path), {"here": LocalHost("here")}, say=lambda _: None
    )
    opened.prepare()
    return opened


def test_staged_once_and_served_from_the_copy(tmp_path, source):
    first, second = weights.converge(site(tmp_path)), weights.converge(site(tmp_path))
    assert (first.actions, second.actions) == (1, 0)
    assert first.detail == second.detail == {**first.detail, "model": weights.model_path(site(tmp_path))}
    copied = Path(first.detail["model"])
    assert copied.is_relative_to(tmp_path / "root" / "models" / "tiny")
    assert (copied / "model.safetensors").read_bytes() == (source / "model.safetensors").read_bytes()


def test_a_changed_source_is_staged_beside_the_old_one(tmp_path, source):
    old = weights.converge(site(tmp_path)).detail["model"]
    (source / "config.json").write_text('{"model_type": "qwen3"}')
    changed = weights.converge(site(tmp_path))
    assert changed.actions == 1
    assert changed.detail["model"] != old
    assert (Path(old) / "config.json").read_text() == '{"model_type": "llama"}'


def test_served_from_the_source_itself(tmp_path, source):
    outcome = weights.converge(site(tmp_path, stage=False))
    assert (outcome.actions, outcome.detail["model"]) == (0, str(source))
    assert not (tmp_path / "root" / "models").exists()


def test_two_hosts_that_hold_other_bytes_are_named(tmp_path, source):
    """Two hosts whose storage differs in one byte under the same path: told apart by the manifest, not by a stat."""
    both, seen = site(tmp_path), {}
    for host in ("here", "there"):
        data = bytearray((source / "model.safetensors").read_bytes())
        data[-1] = len(seen)
        (source / "model.safetensors").write_bytes(data)
        weights.converge(both)
        seen[host] = weights.look(both)["here"]
    with pytest.raises(StageError, match=r"\[there\] its model has the digest \w{64}\n\[here\] the head's has"):
        weights.require_same(both.spec, seen)


def test_the_run_keeps_what_identifies_the_model_and_what_staging_took(tmp_path, source):
    detail = weights.converge(site(tmp_path)).detail
    assert (len(detail["digest"]), detail["staged"]["here"]["copied_bytes"]) == (64, detail["bytes"])


def test_the_server_that_starts_next_finds_the_model_in_memory(tmp_path, source):
    opened, said = site(tmp_path), []
    opened = dataclasses.replace(opened, say=said.append)
    path = weights.converge(opened).detail["model"]
    model_store.warm(opened, path)
    assert said[-1].startswith("[here] the model: 0.0 GiB in the page cache after")


def test_room_is_made_where_the_file_allows_it(tmp_path, source):
    """A disk that is short by the smallest of bytes: what the stage believes of it is all that is not real here."""
    first = Path(weights.converge(site(tmp_path)).detail["model"])
    (source / "config.json").write_text('{"model_type": "qwen2"}')
    last = Path(weights.converge(site(tmp_path)).detail["model"])
    (source / "config.json").write_text('{"model_type": "qwen3"}')
    opened = site(tmp_path)
    allowed = opened.spec.weights.model_copy(update={"prune": True})
    opened = dataclasses.replace(opened, spec=opened.spec.model_copy(update={"weights": allowed}))
    seen = {"here": dataclasses.replace(weights.look(opened)["here"], free_bytes=1, bytes=1 << 60)}
    assert act(opened, weights.room(opened.spec, seen, serves="")) == 1
    assert (first.exists(), last.exists()) == (False, True)
    assert weights.converge(opened).actions == 1


def test_auto_measures_says_what_it_predicts_and_keeps_it(tmp_path, source):
    size = 64 << 20
    header = json.dumps({"a": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    (source / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(size))
    said: list[str] = []
    opened = dataclasses.replace(site(tmp_path, stage="auto"), say=said.append)
    outcome = weights.converge(opened)
    choice = outcome.detail["choice"]
    assert set(choice["predicted"]["here"]) == {"stage_s", "load_disk_s", "load_source_s"}
    assert any(line.startswith("[here] predicted: ") for line in said)
    assert (outcome.actions, outcome.detail["model"] == str(source)) == ((1, False) if choice["stage"] else (0, True))
    assert weights.model_path(opened) == outcome.detail["model"]


def test_auto_leaves_staged_what_is_staged(tmp_path, source):
    staged = weights.converge(site(tmp_path)).detail["model"]
    outcome = weights.converge(site(tmp_path, stage="auto"))
    assert (outcome.actions, outcome.detail["model"], outcome.detail["choice"]["reason"]) == (
        0,
        staged,
        "staged already",
    )
    assert not (tmp_path / "root" / "models" / "tiny" / ".measured").exists()


def test_a_broken_source_is_refused_by_name_before_anything_is_copied(tmp_path, source):
    (source / "model.safetensors").write_bytes(b"<!doctype html>")
    with pytest.raises(HostUnfit, match=r"\[here\] weights.source: .* is not a whole model:\n.*model.safetensors"):
        weights.converge(site(tmp_path))
    (source / "model.safetensors").unlink()
    source.rename(tmp_path / "elsewhere")
    with pytest.raises(HostUnfit, match=r"shared/tiny is not there[\s\S]*mount the storage"):
        weights.converge(site(tmp_path))
