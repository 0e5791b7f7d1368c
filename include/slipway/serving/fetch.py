"""Brings one revision of a Hugging Face repository into a folder; run by the serving environment's Python.

    python fetch.py  < {"repo": "org/name", "revision": "<commit>", "folder": "/...", "endpoint": null,
                        "token_file": null, "allow_pickle": []}

``huggingface_hub`` downloads; what it left of an interrupted download is used. Then every file is held against the
digest that the hub publishes: SHA-256 for what it keeps in LFS, git's own for the rest. A file that differs is removed
and named. Files that begin with a dot, and pickle files that are not named, are not fetched.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "0"}

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoFile

PICKLES = ("*.bin", "*.ckpt", "*.pickle", "*.pkl", "*.pt", "*.pth")
SAY_EVERY_S = 10.0
READ_BYTES = 16 << 20
GIB = 1 << 30
OTHERS_MAY_READ = stat.S_IRWXG | stat.S_IRWXO


class Refused(Exception):
    """What was asked for cannot be done."""


def fetch(asked: dict[str, Any]) -> None:
    """Download and check. Raises Refused, or what the hub's own client raises."""
    from huggingface_hub import HfApi, snapshot_download

    repo, revision, folder = asked["repo"], asked["revision"], Path(asked["folder"])
    token = read_token(asked["token_file"]) if asked.get("token_file") else False
    api = HfApi(endpoint=asked.get("endpoint"), token=token)
    tree = api.list_repo_tree(repo, recursive=True, revision=revision)
    files = [file for file in tree if hasattr(file, "blob_id") and wanted(file.path, asked["allow_pickle"])]
    if not files:
        raise Refused(f"{repo} has no file to serve at {revision}")
    folder.mkdir(parents=True, exist_ok=True)
    require_space(folder, files)
    with telling(folder, sum(file.size for file in files)):
        snapshot_download(
            repo,
            revision=revision,
            local_dir=folder,
            cache_dir=folder / ".cache" / "hub",
            allow_patterns=[literal(file.path) for file in files],
            endpoint=asked.get("endpoint"),
            token=token,
        )
    require_right(folder, files)


def read_token(path: str) -> str:
    """The token in a file that only its owner can read."""
    if Path(path).stat().st_mode & OTHERS_MAY_READ:
        raise Refused(f"weights.token_file: others may read {path}; chmod 600 it")
    return Path(path).read_text().strip()


def wanted(name: str, pickles: list[str]) -> bool:
    hidden = any(part.startswith(".") for part in name.split("/"))
    pickle = any(fnmatch(name.lower(), pattern) for pattern in PICKLES)
    return not hidden and (not pickle or name in pickles)


def literal(name: str) -> str:
    """A pattern that fits this name alone."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def require_space(folder: Path, files: list[RepoFile]) -> None:
    lacking = sum(file.size for file in files) - held_bytes(folder)
    free = shutil.disk_usage(folder).free
    if free < lacking * 1.05:
        raise Refused(f"{folder} has {free / GIB:.2f} GiB free, and {lacking * 1.05 / GIB:.2f} GiB are needed")


def held_bytes(folder: Path) -> int:
    """What lies in a folder, half downloaded files among it."""
    return sum(path.stat().st_size for path in [*folder.rglob("*")] if path.is_file())


class telling:  # noqa: N801 - a context manager
    """Say every ten seconds how much lies in the folder."""

    def __init__(self, folder: Path, total_bytes: int) -> None:
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._tell, args=(folder, total_bytes), daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _tell(self, folder: Path, total_bytes: int) -> None:
        before = held_bytes(folder)
        while not self._done.wait(SAY_EVERY_S):
            held = held_bytes(folder)
            rate = (held - before) / SAY_EVERY_S
            left = f", {(total_bytes - held) / rate / 60:.0f} min left" if rate > 0 else ""
            say(f"fetched {held / GIB:.1f} of {total_bytes / GIB:.1f} GiB, {rate / (1 << 20):.0f} MiB/s{left}")
            before = held


def require_right(folder: Path, files: list[RepoFile]) -> None:
    """Every file has the digest that the hub publishes. Those that have not are removed, and named."""
    with ThreadPoolExecutor(4) as pool:
        right = list(pool.map(lambda file: is_right(folder / file.path, file), files))
    wrong = [file.path for file, good in zip(files, right, strict=True) if not good]
    for name in wrong:
        (folder / name).unlink(missing_ok=True)
    if wrong:
        raise Refused(f"not what the hub publishes, and removed: {', '.join(wrong)}; fetch again")


def is_right(path: Path, file: RepoFile) -> bool:
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    digest = hashlib.sha256() if file.lfs else hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(READ_BYTES):
            digest.update(block)
    return bool(digest.hexdigest() == (file.lfs.sha256 if file.lfs else file.blob_id))


def say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def main() -> int:
    asked = json.load(sys.stdin)
    try:
        fetch(asked)
    except (Refused, OSError) as error:
        say(f"hf:{asked['repo']}@{asked['revision']}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
