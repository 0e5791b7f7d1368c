"""How fast is verified staging, beside `cp`, `rsync`, `rclone` and what the disk can write at all?

    python benchmarks/staging.py --gib 4 --runs 3 --source /var/tmp --target /var/tmp
    python benchmarks/staging.py --gib 4 --runs 3 --source /dev/shm --target /var/tmp

A model of random bytes is made below ``--source``. Each round stages it once with every method, in turns, the source
cold (dropped from the page cache) and the target new. Every time ends when the bytes are on the disk: Slipway does that
itself, after the others each file is synced. CPU seconds are those of the processes; the kernel's own writing, which
copies through the page cache leave to it, is not among them. Medians are printed, then what a copy that is killed at
half copies the second time, and what a model of 163 files costs once it is staged. The files are removed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

INCLUDE = Path(__file__).resolve().parents[1] / "include"
sys.path.insert(0, str(INCLUDE))

from slipway.remote.weights.blocks import BlockFile, aligned_buffer, reserve, settle  # noqa: E402

MIB = 1024**2
GIB = 1024**3
STAGE = [sys.executable, "-m", "slipway.remote", "stage"]
FILES_OF_A_LARGE_MODEL = 163
LIMIT, OURS = "write only (limit)", "slipway,"

SECOND_MODEL_SHARD_BYTES = MIB


@dataclass(frozen=True)
class Spent:
    """CPU seconds; the largest resident size of the process, and what it read from a disk, in bytes.

    The sizes are None where the work was done inside the benchmark, whose own sizes say nothing of it.
    """

    cpu_s: float
    memory_bytes: int | None = None
    read_bytes: int | None = None


@dataclass(frozen=True)
class Sample:
    """One staging: wall seconds until the bytes were on the disk, and what it took."""

    seconds: float
    spent: Spent


def make_model(folder: Path, shards: int, shard_bytes: int) -> None:
    """A model of random tensors; ``shard_bytes`` counts the tensors of each shard."""
    folder.mkdir()
    weight_map = {f"layer.{number}": f"model-{number:05}-of-{shards:05}.safetensors" for number in range(1, shards + 1)}
    for tensor, shard in weight_map.items():
        header = json.dumps(
            {tensor: {"dtype": "U8", "shape": [shard_bytes], "data_offsets": [0, shard_bytes]}}
        ).encode()
        with (folder / shard).open("wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            for offset in range(0, shard_bytes, 64 * MIB):
                file.write(os.urandom(min(64 * MIB, shard_bytes - offset)))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "tokenizer.json").write_text("{}")
    sync(folder)


def sync(folder: Path) -> None:
    """Have all files of a folder on the disk and out of the page cache."""
    for path in folder.rglob("*"):
        if path.is_file():
            settle(path)


def measured(argv: Sequence[str], request: dict[str, object] | None = None) -> Spent:
    """Run a program to its end."""
    process = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(INCLUDE)},
    )
    assert process.stdin
    process.stdin.write(json.dumps(request or {}).encode())
    process.stdin.close()
    largest = 0
    while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
        largest = max(largest, peak_bytes(process.pid))
        time.sleep(0.005)
    _, status, usage = ended
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(argv)} ended with {process.returncode}")
    return Spent(usage.ru_utime + usage.ru_stime, largest, usage.ru_inblock * 512)


def peak_bytes(pid: int) -> int:
    """The largest resident size of a process since it began its program; 0 once it has ended.

    Not ``ru_maxrss``: that counts the benchmark's own size too, from before the program began.
    """
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


@cache
def random_block() -> memoryview:
    """What the disk's limit is measured with, made before the clock runs: zeros may cost a disk less."""
    block = aligned_buffer(16 * MIB)
    block[:] = os.urandom(16 * MIB)
    return block


def sample(work: Callable[[], Spent]) -> Sample:
    began = time.monotonic()
    spent = work()
    return Sample(time.monotonic() - began, spent)


def stage(source: Path, target: Path, digest: str = "sha256") -> Spent:
    return measured([*STAGE, "copy"], {"source": str(source), "store": str(target), "digest": digest})


def copy_with(*argv: str) -> Callable[[Path, Path], Spent]:
    """A method that calls a copying program, then has its files on the disk."""

    def work(source: Path, target: Path) -> Spent:
        spent = measured([*argv, f"{source}/", f"{target}/"])
        sync(target)
        return spent

    return work


def write_only(source: Path, target: Path) -> Spent:
    """The limit of the disk: as many bytes in files as large, written past the page cache by four threads."""
    sizes = {path.name: path.stat().st_size for path in source.iterdir()}
    before = resource.getrusage(resource.RUSAGE_SELF)
    target.mkdir()

    def fill(name: str) -> None:
        reserve(target / name, sizes[name])
        file = BlockFile(target / name, os.O_WRONLY)
        for offset in range(0, sizes[name], 16 * MIB):
            file.write(random_block(), offset, min(16 * MIB, sizes[name] - offset))
        file.close()
        settle(target / name)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(fill, sizes))
    after = resource.getrusage(resource.RUSAGE_SELF)
    return Spent(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def methods(digests: Sequence[str]) -> dict[str, Callable[[Path, Path], Spent]]:
    others = {
        "cp -r": ("cp", "-rT"),
        "rsync -a --whole-file": ("rsync", "-a", "--whole-file"),
        "rclone copy": ("rclone", "copy", "--config="),
    }
    found = {LIMIT: write_only, **{ours(digest): partial(stage, digest=digest) for digest in digests}}
    for name, argv in others.items():
        if shutil.which(argv[0]):
            found[name] = copy_with(*argv)
        else:
            print(f"{argv[0]} is not installed here: left out")
    return found


def ours(digest: str) -> str:
    return f"{OURS} {digest}"


def measure(source: Path, below: Path, runs: int, digests: Sequence[str]) -> dict[str, list[Sample]]:
    """Every method once a round, each round beginning with another one."""
    samples: dict[str, list[Sample]] = {}
    random_block()
    order = list(methods(digests).items())
    for run in range(runs):
        for name, method in order[run % len(order) :] + order[: run % len(order)]:
            target = below / "target"
            sync(source)
            samples.setdefault(name, []).append(sample(partial(method, source, target)))
            shutil.rmtree(target)
    return {name: samples[name] for name, _ in order}


def print_table(samples: dict[str, list[Sample]], size: int) -> None:
    print(f"{'method':24} {'MiB/s':>8} {'range':>13} {'CPU s/GiB':>10} {'MiB of memory':>14}")
    for name, rows in samples.items():
        rates = sorted(size / row.seconds / MIB for row in rows)
        sizes = [row.spent.memory_bytes for row in rows if row.spent.memory_bytes is not None]
        memory = f"{max(sizes) / MIB:.0f}" if sizes else "-"
        spread = f"{rates[0]:.0f}-{rates[-1]:.0f}"
        print(f"{name:24} {statistics.median(rates):8.0f} {spread:>13} {cpu(rows) / size * GIB:10.2f} {memory:>14}")


def print_ratios(samples: dict[str, list[Sample]], name: str) -> None:
    """Medians of the ratios within each round: the machine's other work weighs on both sides of each."""
    others = [other for other in samples if other != LIMIT and not other.startswith(OURS)]
    rows, limit = samples[name], samples[LIMIT]
    best = [min(samples[other][run].seconds for other in others) for run in range(len(rows))]
    faster = statistics.median(other / row.seconds for other, row in zip(best, rows, strict=True))
    part = statistics.median(top.seconds / row.seconds for top, row in zip(limit, rows, strict=True))
    print(f"{name}: {faster:.2f} x the best of {', '.join(others)}; {part:.2f} of the disk's write limit")
    print(f"{name}: CPU " + ", ".join(f"{cpu(rows) / cpu(samples[other]):.2f} of {other}" for other in others))


def cpu(rows: list[Sample]) -> float:
    return statistics.median(row.spent.cpu_s for row in rows)


def print_interruption(source: Path, target: Path, size: int) -> None:
    """A copy that is killed (SIGKILL) once it has written half of the model, and the one after it."""
    request = json.dumps({"source": str(source), "store": str(target)}).encode()
    env = {**os.environ, "PYTHONPATH": str(INCLUDE)}
    sync(source)
    with subprocess.Popen([*STAGE, "copy"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env) as first:
        assert first.stdin
        first.stdin.write(request)
        first.stdin.close()
        while (written := written_bytes(first.pid)) < size / 2:
            time.sleep(0.002)
        first.kill()
    done = subprocess.run([*STAGE, "copy"], input=request, capture_output=True, env=env, check=True)
    again = json.loads(done.stdout)["copied_bytes"]
    print(f"killed at {written / size:.1%}: the second time {again / size:.1%} were copied")
    shutil.rmtree(target)


def written_bytes(pid: int) -> int:
    fields = Path(f"/proc/{pid}/io").read_text().split()
    return int(fields[fields.index("wchar:") + 1])


def print_second_run(source: Path, target: Path, runs: int) -> None:
    """What a second deploy pays for a model of as many files as a large one has: each call with Python's start."""
    make_model(source, FILES_OF_A_LARGE_MODEL - 3, SECOND_MODEL_SHARD_BYTES)
    size = sum(path.stat().st_size for path in source.iterdir())
    request: dict[str, object] = {"source": str(source), "store": str(target)}
    stage(source, target)
    for verb in ("look", "copy"):
        again = []
        for _ in range(runs):
            sync(source)
            sync(target)
            again.append(sample(partial(measured, [*STAGE, verb], request)))
        read = max(row.spent.read_bytes or 0 for row in again)
        seconds = statistics.median(row.seconds for row in again)
        took = f"{seconds:.2f} s, {read / 1024:.0f} KiB of {size / 1024:.0f} read from the disk"
        print(f"{verb} at {FILES_OF_A_LARGE_MODEL} unchanged files: {took}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gib", type=float, default=0.5, help="size of the model")
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--digest", nargs="+", default=["sha256", "xxh3"], help="what proves Slipway's copies")
    parser.add_argument("--source", type=Path, default=Path(tempfile.gettempdir()), help="where the source is made")
    parser.add_argument("--target", type=Path, default=Path(tempfile.gettempdir()), help="where it is staged")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.source) as one, tempfile.TemporaryDirectory(dir=asked.target) as other:
        source, below = Path(one) / "source", Path(other)
        make_model(source, asked.shards, int(asked.gib * GIB / asked.shards))
        size = sum(path.stat().st_size for path in source.iterdir())
        print(f"{size / GIB:.1f} GiB in {asked.shards} shards, {asked.runs} rounds, {os.cpu_count()} cores")
        samples = measure(source, below, asked.runs, asked.digest)
        print_table(samples, size)
        for digest in asked.digest:
            print_ratios(samples, ours(digest))
        print_interruption(source, below / "interrupted", size)
        print_second_run(Path(one) / "many", below / "many", asked.runs)


if __name__ == "__main__":
    main()
