"""Is a folder a whole model? The faults that a loader would only meet after minutes, found from names and headers.

The weights themselves are not read: a flipped byte among them is what the manifest's digests are for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from slipway.remote.weights.listing import Listing, ModelFile, printable
from slipway.remote.weights.safetensors import Faulty, load_tensor_names

PICKLE_SUFFIXES = frozenset({".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"})
SNIFFED_SUFFIXES = frozenset({".json", ".model", ".safetensors", ".tiktoken"})
JSON_OF_THE_LOADER = frozenset(
    {"config.json", "generation_config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json"}
)
TOKENIZERS = (
    {"tokenizer.json"},
    {"tokenizer.model"},
    {"tekken.json"},
    {"tiktoken.model"},
    {"vocab.json", "merges.txt"},
)
WHOLE_WEIGHTS = frozenset({"model.safetensors", "consolidated.safetensors"})
INDEX_SUFFIX = ".safetensors.index.json"
SHARD = re.compile(r"-\d+-of-\d+\.safetensors$")


def problems_of(model: Listing, pickles: Collection[str] = ()) -> list[str]:
    """What is wrong with a model folder, one line a fault, each with the file's name; none means that it is whole.

    ``pickles`` are the names of the pickle files that may be there.
    """
    if not model.files:
        return [*model.problems, "the folder holds no file"]
    faults: dict[str, str] = {}
    tensors: dict[str, frozenset[str]] = {}
    for file in model.files:
        try:
            _refuse_pickle(file.name, pickles)
            tensors[file.name] = _examine(model.folder / file.name, file)
        except Faulty as error:
            faults[file.name] = str(error)
        except OSError as error:
            faults[file.name] = f"cannot be read: {error.strerror}"
    problems = [*model.problems, *(f"{printable(name)}: {fault}" for name, fault in faults.items())]
    problems += _missing({file.name for file in model.files if "/" not in file.name})
    for name in tensors:
        if name.endswith(INDEX_SUFFIX):
            problems += _incomplete(model, name, tensors)
    return problems


def _examine(path: Path, file: ModelFile) -> frozenset[str]:
    """The names of the tensors in a file; none unless it is a shard. Raises Faulty."""
    suffix = PurePosixPath(file.name).suffix.lower()
    if suffix in SNIFFED_SUFFIXES:
        _check_start(path)
    if file.name in JSON_OF_THE_LOADER or file.name.endswith(INDEX_SUFFIX):
        _check_json(path)
    return load_tensor_names(path, file.size) if suffix == ".safetensors" else frozenset()


def _refuse_pickle(name: str, pickles: Collection[str]) -> None:
    if PurePosixPath(name).suffix.lower() in PICKLE_SUFFIXES and name not in pickles:
        raise Faulty("is a pickle file, which can run code when it is loaded; `weights.allow_pickle` does not name it")


def _check_start(path: Path) -> None:
    with path.open("rb") as stream:
        start = stream.read(512)
    if not start:
        raise Faulty("is empty")
    if start.startswith(b"version https://git-lfs.github.com/spec/"):
        raise Faulty("is a Git LFS pointer, not the file itself; run `git lfs pull` in the source")
    if start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise Faulty("is an HTML or XML page, not the file itself; the download met a login or an error page")


def _check_json(path: Path) -> None:
    try:
        whole = isinstance(json.loads(path.read_bytes()), dict)
    except (ValueError, RecursionError) as error:
        raise Faulty(f"is not valid JSON: {error}") from error
    if not whole:
        raise Faulty("is not a JSON object")


def _missing(names: set[str]) -> Iterator[str]:
    """What a loader needs and does not find among the names at the top of the folder."""
    if "config.json" not in names:
        yield "config.json: is missing"
    if not any(kind <= names for kind in TOKENIZERS):
        yield "tokenizer.json: is missing, and there is no tokenizer.model either"
    if any(name.endswith(INDEX_SUFFIX) for name in names):
        return
    shards = sorted(name for name in names if SHARD.search(name))
    if shards:
        yield f"model{INDEX_SUFFIX}: is missing, so nothing says which shards belong beside {printable(shards[0])}"
    elif not names & WHOLE_WEIGHTS:
        yield f"model.safetensors: is missing, and there is no model{INDEX_SUFFIX} either"


def _incomplete(model: Listing, index: str, tensors: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """The shards that an index names and that are missing, or lack a tensor that it places in them."""
    placed = _load_weight_map(model.folder / index)
    if not placed:
        yield f"{printable(index)}: has no weight_map of tensor names to file names"
    present = {file.name for file in model.files}
    for shard, wanted in sorted(placed.items()):
        name = str(PurePosixPath(index).parent / shard)
        lacking = sorted(wanted - tensors.get(name, wanted))
        if name not in present:
            yield f"{printable(name)}: is missing, though {printable(index)} names it"
        elif lacking:
            more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
            yield f"{printable(name)}: lacks {printable(lacking[0])}{more}, contrary to {printable(index)}"


def _load_weight_map(index: Path) -> dict[str, set[str]]:
    """File name -> the tensors that the index places in it; empty where the index has no such map."""
    weight_map: Any = json.loads(index.read_bytes()).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(shard, str) for shard in weight_map.values()):
        return {}
    placed: dict[str, set[str]] = {}
    for tensor, shard in weight_map.items():
        placed.setdefault(shard, set()).add(tensor)
    return placed
