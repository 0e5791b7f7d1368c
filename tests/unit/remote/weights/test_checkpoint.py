"""Each broken checkpoint has its fault named, once, by file; a whole one has none."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from slipway.remote.weights.checkpoint import problems_of
from slipway.remote.weights.listing import list_folder

SHARD = "model-00002-of-00003.safetensors"
INDEX = "model.safetensors.index.json"
LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22e\nsize 12345\n"
PICKLE = "is a pickle file, which can run code when it is loaded; `weights.allow_pickle` does not name it"
PAGE = "is an HTML or XML page, not the file itself; the download met a login or an error page"
POINTER = "is a Git LFS pointer, not the file itself; run `git lfs pull` in the source"


def problems(folder: Path) -> list[str]:
    return problems_of(list_folder(folder))


def write(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(data)


def cut(name: str, change: int) -> Callable[[Path], object]:
    return lambda folder: os.truncate(folder / name, (folder / name).stat().st_size + change)


def remove(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def header(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def weightless(folder: Path) -> None:
    for path in [folder / INDEX, *folder.glob("*.safetensors")]:
        path.unlink()


BAD_SHARDS = [
    ("truncated", cut(SHARD, -1), "is truncated: its header speaks of 100118 bytes, the file has 100117"),
    ("longer", cut(SHARD, 1), "is too long: its header speaks of 100118 bytes, the file has 100119"),
    ("cut in its header", cut(SHARD, -100_098), "is truncated inside its header: that has 110 bytes, the file 20"),
    ("cut in its length", cut(SHARD, -100_113), "is truncated: 5 bytes are no safetensors file"),
    ("missing", remove(SHARD), f"is missing, though {INDEX} names it"),
    ("empty", write(SHARD, b""), "is empty"),
    ("pointer", write(SHARD, LFS_POINTER), POINTER),
    ("page", write(SHARD, b"\n<!DOCTYPE html><html>Sign in</html>"), PAGE),
    (
        "random",
        write(SHARD, b"\xff" * 99),
        "is no safetensors file: its header would be 18446744073709551615 bytes long",
    ),
    ("no JSON", write(SHARD, header(b"{not json")), "is no safetensors file: its header is not JSON"),
    ("a list", write(SHARD, header(b"[1]")), "is no safetensors file: its header is not a JSON object"),
    (
        "no place",
        write(SHARD, header(b'{"a": {}}')),
        "is no safetensors file: a tensor in its header has no data_offsets",
    ),
    ("of another model", write(SHARD, header(b"{}")), f"lacks layer.2, contrary to {INDEX}"),
]
BAD_FILES = [
    ("config is a page", write("config.json", b"<html>404</html>"), f"config.json: {PAGE}"),
    ("config missing", remove("config.json"), "config.json: is missing"),
    ("config is a list", write("config.json", b"[]"), "config.json: is not a JSON object"),
    ("config cut", cut("config.json", -1), "config.json: is not valid JSON: Expecting ',' delimiter"),
    ("tokenizer is an error", write("tokenizer.json", b'<?xml version="1.0"?><Error/>'), f"tokenizer.json: {PAGE}"),
    ("tokenizer cut", cut("tokenizer.json", -1), "tokenizer.json: is not valid JSON: Expecting ',' delimiter"),
    (
        "tokenizer missing",
        remove("tokenizer.json"),
        "tokenizer.json: is missing, and there is no tokenizer.model either",
    ),
    ("index is a pointer", write(INDEX, LFS_POINTER), f"{INDEX}: {POINTER}"),
    ("index without a map", write(INDEX, b"{}"), f"{INDEX}: has no weight_map of tensor names to file names"),
    ("index leads out", write(INDEX, b'{"weight_map": {"a": "../x"}}'), f"../x: is missing, though {INDEX} names it"),
    ("index missing", remove(INDEX), f"{INDEX}: is missing, so nothing says which shards belong beside model-00001"),
    ("no weights", weightless, f"model.safetensors: is missing, and there is no {INDEX} either"),
    (
        "dead link",
        lambda f: (f / "x.json").symlink_to("gone"),
        "x.json: cannot be looked at: No such file or directory",
    ),
    ("linked folder", lambda f: (f / "more").symlink_to("/etc"), "more: is neither a file nor a link to one"),
    ("pipe", lambda f: os.mkfifo(f / "pipe"), "pipe: is neither a file nor a link to one"),
    ("line break in a name", write("a\nb.pt", b"x"), f"'a\\nb.pt': {PICKLE}"),
]
BROKEN = [(name, breaks, f"{SHARD}: {fault}") for name, breaks, fault in BAD_SHARDS] + BAD_FILES


@pytest.mark.parametrize(("breaks", "expected"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_a_broken_checkpoint_has_its_fault_named_once(
    make_model: Callable[..., Path], breaks: Callable[[Path], object], expected: str
) -> None:
    folder = make_model()
    breaks(folder)
    found = problems(folder)
    assert len(found) == 1
    assert found[0].startswith(expected)


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "model.PT", "original/consolidated.00.pth", "state.pkl", "x.ckpt"]
)
def test_a_pickle_file_is_refused_wherever_it_lies(make_model: Callable[..., Path], name: str) -> None:
    folder = make_model()
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"\x80\x04")
    assert problems(folder) == [f"{name}: {PICKLE}"]


def test_a_sharded_model_is_whole(make_model: Callable[..., Path]) -> None:
    assert problems(make_model()) == []


def test_a_model_in_one_file_is_whole(make_model: Callable[..., Path]) -> None:
    folder = make_model(shards=1)
    (folder / INDEX).unlink()
    (folder / "model-00001-of-00001.safetensors").rename(folder / "model.safetensors")
    assert problems(folder) == []


@pytest.mark.parametrize("names", [["tokenizer.model"], ["tekken.json"], ["vocab.json", "merges.txt"]])
def test_other_tokenizers_will_do(make_model: Callable[..., Path], names: list[str]) -> None:
    folder = make_model()
    (folder / "tokenizer.json").unlink()
    for name in names:
        (folder / name).write_text("{}")
    assert problems(folder) == []


def test_every_fault_is_named_in_one_go(make_model: Callable[..., Path]) -> None:
    folder = make_model()
    for breaks in (remove("config.json"), remove(SHARD), write("a.pkl", b"x")):
        breaks(folder)
    assert [line.split(":")[0] for line in problems(folder)] == ["a.pkl", "config.json", SHARD]


def test_an_empty_folder_is_no_model(tmp_path: Path) -> None:
    assert problems(tmp_path) == ["the folder holds no file"]


def test_links_to_blobs_are_followed(make_model: Callable[..., Path], tmp_path: Path) -> None:
    blobs, snapshot = make_model("blobs"), tmp_path / "snapshot"
    snapshot.mkdir()
    for blob in blobs.iterdir():
        (snapshot / blob.name).symlink_to(f"../blobs/{blob.name}")
    os.truncate(blobs / SHARD, 50_000)
    assert problems(snapshot) == [f"{SHARD}: is truncated: its header speaks of 100118 bytes, the file has 50000"]


def test_the_index_may_place_several_tensors_that_a_shard_lacks(make_model: Callable[..., Path]) -> None:
    folder = make_model()
    index = json.loads((folder / INDEX).read_text())
    index["weight_map"] |= {"a": SHARD, "b": SHARD}
    (folder / INDEX).write_text(json.dumps(index))
    assert problems(folder) == [f"{SHARD}: lacks a and 1 more, contrary to {INDEX}"]
