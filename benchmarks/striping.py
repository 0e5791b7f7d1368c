"""How long do N hosts take to stage one model from a slow source: each all of it, or a share and the rest by peers?

    sudo python benchmarks/striping.py --mib 512 --hosts 2 --source-mib-s 100 --link-mib-s 400

The hosts are network namespaces on one bridge, each link held to ``--link-mib-s`` by `tc tbf`. The source gives
``--source-mib-s`` to all hosts together: each copy is limited to its part of that, as with storage that is shared
fairly. Every host has a store of its own on one disk. Rounds alternate; medians of the slowest host are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from staging import INCLUDE, MIB, make_model

PORT = 20008
BRIDGE = "slw-br"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@contextmanager
def network(hosts: int, link_mib_s: int) -> Iterator[list[tuple[str, str]]]:
    """Namespace and address of each host."""
    made = [(f"slw-{number}", f"10.79.0.{number + 1}") for number in range(hosts)]
    try:
        ip("link", "add", BRIDGE, "type", "bridge")
        ip("link", "set", BRIDGE, "up")
        for name, address in made:
            ip("netns", "add", name)
            ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", name, "master", BRIDGE, "up")
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
            rate = ["rate", f"{link_mib_s * 8 * MIB}bit", "burst", "1mb", "latency", "50ms"]
            for where in (["tc", "qdisc", "add", "dev", name], ["tc", "-n", name, "qdisc", "add", "dev", "eth0"]):
                subprocess.run([*where, "root", "tbf", *rate], check=True)
        yield made
    finally:
        for name, _ in made:
            subprocess.run(["ip", "netns", "del", name], check=False, stderr=subprocess.DEVNULL)
        subprocess.run(["ip", "link", "del", BRIDGE], check=False, stderr=subprocess.DEVNULL)


def staged(hosts: list[tuple[str, str]], source: Path, folder: Path, limit: int, token: Path | None) -> float:
    """Stage on all hosts at once; seconds until the slowest has its model."""
    addresses = [address for _, address in hosts]
    running = []
    began = time.monotonic()
    for own, (name, _) in enumerate(hosts):
        asked = {"source": str(source), "store": str(folder / name / "model"), "limit_bytes_per_s": limit}
        if token:
            asked["stripe"] = {"own": own, "addresses": addresses, "port": PORT, "token_file": str(token)}
        argv = ["ip", "netns", "exec", name, sys.executable, "-m", "slipway.remote", "stage", "copy"]
        job = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(INCLUDE)}
        )
        assert job.stdin
        job.stdin.write(json.dumps(asked).encode())
        job.stdin.close()
        job.stdin = None
        running.append(job)
    answers = [json.loads(job.communicate()[0]) for job in running]
    seconds = time.monotonic() - began
    assert len({answer["digest"] for answer in answers}) == 1
    fetched = sum(answer["fetched_bytes"] for answer in answers) / MIB
    print(f"  {'striped' if token else 'each all'}: {seconds:.2f} s, {fetched:.0f} MiB from peers")
    shutil.rmtree(folder)
    return seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("mib", 512), ("hosts", 2), ("source-mib-s", 100), ("link-mib-s", 400), ("runs", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as place, network(asked.hosts, asked.link_mib_s) as hosts:
        root = Path(place)
        make_model(root / "source", 4, asked.mib * MIB // 4)
        token = root / "token"
        token.write_text("a" * 64)
        limit = asked.source_mib_s * MIB // asked.hosts
        pairs = []
        for _ in range(asked.runs):
            plain = staged(hosts, root / "source", root / "stores", limit, None)
            pairs.append((plain, staged(hosts, root / "source", root / "stores", limit, token)))
    plain_s, striped_s = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(plain / striped for plain, striped in pairs)
    print(f"{asked.mib} MiB to {asked.hosts} hosts, source {asked.source_mib_s}, links {asked.link_mib_s} MiB/s:")
    print(f"each reads all {plain_s:.2f} s, striped {striped_s:.2f} s: {ratio:.2f} times as fast")
    return 0


if __name__ == "__main__":
    sys.exit(main())
