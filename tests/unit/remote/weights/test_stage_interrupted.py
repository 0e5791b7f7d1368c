"""Killed, contended, out of room, or with a source that moves: named, and nothing half made is published."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import slipway
from slipway.remote.weights.listing import list_folder
from slipway.remote.weights.verbs import VERBS

MakeModel = Callable[..., Path]
CHUNK_BYTES = 16_384
KIT = [sys.executable, "-m", "slipway.remote"]
ENV = {**os.environ, "PYTHONPATH": str(Path(slipway.__file__).parents[1])}
FULL_DISK = """
mount -t tmpfs -o size=64m,nr_inodes=8 tmpfs "$1"
"$2" -m slipway.remote stage copy < "$3"
mount -o remount,nr_inodes=100 "$1"
"$2" -m slipway.remote stage copy < "$3"
"""
SMALL_DISK = """
mount -t tmpfs -o size=2m tmpfs "$1"
"$2" -m slipway.remote stage copy < "$3"
ls -A "$1"
mount -o remount,size=64m "$1"
"$2" -m slipway.remote stage copy < "$3"
"""
FILLED_DISK = """
mount -t tmpfs -o size=8m tmpfs "$1"
"$2" -m slipway.remote stage copy < "$3" &
until grep -q . "$1"/.partial-*.journal 2>/dev/null; do sleep 0.01; done
head -c 100m /dev/zero > "$1/foreign" 2>/dev/null
wait
find "$1" -mindepth 1 -maxdepth 1 -not -name '.*'
rm "$1/foreign"
"$2" -m slipway.remote stage copy < "$3"
"""
SMALL_FILES = """
(ulimit -f 64; "$2" -m slipway.remote stage copy < "$3")
"$2" -m slipway.remote stage copy < "$3"
"""


def store_of(source: Path) -> Path:
    return source.parent / "store" / "tiny"


def request(source: Path, **more: Any) -> dict[str, Any]:
    return {"source": str(source), "store": str(store_of(source)), "chunk_bytes": CHUNK_BYTES, **more}


def copy(source: Path, **more: Any) -> dict[str, Any]:
    return VERBS["copy"](request(source, **more))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith("slipway-")}


def partial(source: Path) -> Path:
    return store_of(source) / f".partial-{list_folder(source).fingerprint}"


def journal(source: Path) -> Path:
    return partial(source).with_suffix(".journal")


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a copy as a process of its own, and sees that it is gone at the end."""
    with ExitStack() as stack:

        def begin(source: Path, **more: Any) -> subprocess.Popen[str]:
            pipe = subprocess.PIPE
            process = subprocess.Popen(
                [*KIT, "stage", "copy"], stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=ENV
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            assert process.stdin
            process.stdin.write(json.dumps(request(source, **more)))
            process.stdin.close()
            return process

        yield begin


def answer(process: subprocess.Popen[str], code: int = 0) -> dict[str, Any]:
    assert process.stdout
    assert process.stderr
    text = process.stdout.read()
    assert process.wait(20) == code, process.stderr.read()
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.fixture
def interrupted(make_model: MakeModel, start: Callable[..., subprocess.Popen[str]]) -> Path:
    """A source whose copy was killed when some forty chunks were in the journal."""
    source = make_model(shards=4, shard_size=1_000_000)
    process = start(source, limit_bytes_per_s=4_000_000)
    eventually(lambda: journal(source).exists() and journal(source).read_bytes().count(b"\n") > 40)
    process.kill()
    process.wait(10)
    return source


def written_bytes(process: subprocess.Popen[str]) -> int:
    fields = Path(f"/proc/{process.pid}/io").read_text().split()
    return int(fields[fields.index("wchar:") + 1])


def test_after_a_kill_at_half_no_more_than_52_percent_are_copied(
    make_model: MakeModel, start: Callable[..., subprocess.Popen[str]]
) -> None:
    source = make_model(shards=16, shard_size=1_024 * CHUNK_BYTES // 16)
    total = list_folder(source).size
    first = start(source, limit_bytes_per_s=2 * total, threads=2)
    eventually(lambda: written_bytes(first) >= total / 2)
    first.send_signal(signal.SIGSTOP)
    copied = written_bytes(first)
    first.kill()
    first.wait(10)
    assert copied < 0.9 * total
    assert VERBS["look"](request(source))["staged"] is None
    second = copy(source)
    assert second["copied_bytes"] <= total - copied + 0.02 * total
    assert second["copied_bytes"] + second["resumed_bytes"] == total
    assert contents(Path(second["path"])) == contents(source)


def test_a_byte_that_flipped_in_the_partial_copy_is_copied_again(interrupted: Path) -> None:
    first = min(path for path in partial(interrupted).iterdir() if path.name.startswith("model-"))
    whole = [line.split()[0] for line in journal(interrupted).read_text().splitlines()[1:]]
    with first.open("r+b") as file:
        file.seek(20 * CHUNK_BYTES)
        byte = file.read(1)[0]
        file.seek(20 * CHUNK_BYTES)
        file.write(bytes([byte ^ 1]))
    done = copy(interrupted)
    kept = len(whole) - 1
    assert done["resumed_bytes"] in range((kept - 2) * CHUNK_BYTES, kept * CHUNK_BYTES + 1)
    assert contents(Path(done["path"])) == contents(interrupted)
    assert VERBS["verify"]({"path": done["path"]})["ok"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:300] + bytes([text[300] ^ 1]) + text[301:],
        lambda text: text[:-30],
        lambda text: text + b"garbage\n\xff\xfe 12 x\n",
        lambda text: b"",
        lambda text: text.replace(b"slipway-journal 1", b"slipway-journal 0"),
    ],
    ids=["flipped", "torn", "garbage", "empty", "strange title"],
)
def test_a_damaged_journal_only_costs_time(interrupted: Path, damage: Callable[[bytes], bytes]) -> None:
    journal(interrupted).write_bytes(damage(journal(interrupted).read_bytes()))
    done = copy(interrupted)
    assert done["copied_bytes"] + done["resumed_bytes"] == done["bytes"]
    assert contents(Path(done["path"])) == contents(interrupted)
    assert VERBS["verify"]({"path": done["path"]})["ok"]


def test_chunks_of_another_size_are_not_resumed(interrupted: Path) -> None:
    done = copy(interrupted, chunk_bytes=2 * CHUNK_BYTES)
    assert (done["copied_bytes"], done["resumed_bytes"]) == (done["bytes"], 0)
    assert contents(Path(done["path"])) == contents(interrupted)


def test_a_journal_without_its_copy_is_forgotten(interrupted: Path) -> None:
    partial(interrupted).rename(partial(interrupted).with_name("elsewhere"))
    done = copy(interrupted)
    assert done["resumed_bytes"] == 0
    assert contents(Path(done["path"])) == contents(interrupted)


def test_of_two_stagers_one_copies_and_both_have_it(
    make_model: MakeModel, start: Callable[..., subprocess.Popen[str]]
) -> None:
    source = make_model(shards=4, shard_size=500_000)
    both = [start(source, limit_bytes_per_s=5_000_000) for _ in range(2)]
    answers = [answer(process) for process in both]
    assert sorted(found["copied_bytes"] for found in answers) == [0, list_folder(source).size]
    assert answers[0]["path"] == answers[1]["path"]
    assert contents(Path(answers[0]["path"])) == contents(source)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        (lambda source: os.utime(source / "config.json"), "config.json"),
        (lambda source: (source / "new.txt").write_text("new"), "new.txt"),
        (lambda source: (source / "tokenizer.json").unlink(), "tokenizer.json"),
        (
            lambda source: os.truncate(source / "model-00004-of-00004.safetensors", 9),
            "model-00004-of-00004.safetensors",
        ),
    ],
    ids=["touched", "added", "removed", "truncated"],
)
def test_a_source_that_changes_while_it_is_copied_is_named(
    make_model: MakeModel,
    start: Callable[..., subprocess.Popen[str]],
    changes: Callable[[Path], object],
    name: str,
) -> None:
    source = make_model(shards=4, shard_size=500_000)
    listed = journal(source)
    process = start(source, limit_bytes_per_s=5_000_000, threads=1)
    eventually(lambda: listed.exists() and listed.read_bytes().count(b"\n") > 3)
    changes(source)
    refused = answer(process, code=3)
    assert name in refused["error"]
    assert [path.name for path in store_of(source).iterdir() if not path.name.startswith(".")] == []


def test_a_disk_without_room_is_named_and_the_copy_succeeds_once_there_is_some(
    make_model: MakeModel, tmp_path: Path
) -> None:
    """A file system of its own that runs out of inodes, or a limit on file sizes where none can be mounted."""
    source = make_model(shards=8)
    store_of(source).mkdir(parents=True)
    (tmp_path / "request").write_text(json.dumps(request(source)))
    words = ["sh", "-c", FULL_DISK, "sh", str(store_of(source)), sys.executable, str(tmp_path / "request")]
    namespace = ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run([*namespace, "true"], check=False).returncode:
        namespace, words[2] = [], SMALL_FILES
    ended = subprocess.run([*namespace, *words], env=ENV, capture_output=True, text=True, check=True, timeout=30)
    refused, done = map(json.loads, ended.stdout.splitlines())
    assert refused["error"].startswith("making room for ")
    assert "stage again" in refused["hint"]
    assert done["copied_bytes"] == list_folder(source).size


def in_a_namespace(script: str, source: Path, **more: Any) -> list[str]:
    """Run a script that mounts the store as a file system of its own; answers its lines."""
    store_of(source).mkdir(parents=True)
    asked = source.parent / "request"
    asked.write_text(json.dumps(request(source, **more)))
    namespace = ["unshare", "--user", "--map-root-user", "--mount"]
    words = [*namespace, "sh", "-c", script, "sh", str(store_of(source)), sys.executable, str(asked)]
    return subprocess.run(words, env=ENV, capture_output=True, text=True, check=True, timeout=30).stdout.splitlines()


def test_a_disk_that_is_too_small_is_said_before_the_first_byte(make_model: MakeModel) -> None:
    source = make_model(shards=4, shard_size=1_000_000)
    refused, left, done = in_a_namespace(SMALL_DISK, source)
    assert "GiB free, and 0.00 GiB are needed" in json.loads(refused)["error"]
    assert left == ".lock"
    assert json.loads(done)["copied_bytes"] == list_folder(source).size


def test_a_disk_that_fills_up_meanwhile_is_named_and_what_was_copied_is_kept(make_model: MakeModel) -> None:
    source = make_model(shards=4, shard_size=1_000_000)
    refused, foreign, done = in_a_namespace(FILLED_DISK, source, limit_bytes_per_s=4_000_000)
    assert "No space left on device" in json.loads(refused)["error"]
    assert "stage again" in json.loads(refused)["hint"]
    assert foreign.endswith("/foreign")
    assert json.loads(done)["resumed_bytes"] > 0


def test_a_second_stager_takes_over_where_the_first_was_killed(
    make_model: MakeModel, start: Callable[..., subprocess.Popen[str]]
) -> None:
    source = make_model(shards=4, shard_size=1_000_000)
    first = start(source, limit_bytes_per_s=4_000_000)
    eventually(lambda: journal(source).exists() and journal(source).read_bytes().count(b"\n") > 40)
    second = start(source)
    first.kill()
    first.wait(10)
    done = answer(second)
    assert done["resumed_bytes"] > 0
    assert done["copied_bytes"] + done["resumed_bytes"] == list_folder(source).size
    assert contents(Path(done["path"])) == contents(source)


def test_a_file_that_may_not_grow_so_large_is_named_and_keeps_no_room(make_model: MakeModel) -> None:
    source = make_model()
    ended = subprocess.run(
        [*KIT, "stage", "copy"],
        input=json.dumps(request(source)),
        env=ENV,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, 65_536)),
    )
    assert ended.returncode == 3
    refused = json.loads(ended.stdout)
    assert refused["error"] == "making room for model-00001-of-00003.safetensors: File too large"
    assert "ulimit -f" in refused["hint"]
    assert sum(path.stat().st_size for path in partial(source).iterdir()) == 0
    assert copy(source)["copied_bytes"] == list_folder(source).size
