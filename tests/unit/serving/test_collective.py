"""What the program reads from NCCL's log, and what it says without torch. Real ranks: tests/integration."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path

import pytest

from slipway.results.network import over, transport
from slipway.serving import collective

DATA = Path(__file__).parents[2] / "data" / "nccl-2.28.9"

IB = """\
node-0:120:180 [0] NCCL INFO NET/IB : Using [0]mlx5_0:1/IB [RO]; OOB ibs108:10.1.4.72<0>
node-0:120:180 [0] NCCL INFO Using network IB
node-0:120:180 [0] NCCL INFO Channel 00/0 : 7[7] -> 8[0] [send] via NET/IB/0(0)/GDRDMA
node-0:120:180 [0] NCCL INFO Channel 00/0 : 15[7] -> 0[0] [receive] via NET/IB/0/GDRDMA comm 0x2083dd50 nRanks 16
node-0:120:180 [0] NCCL INFO Channel 01/0 : 0[0] -> 1[1] via P2P/CUMEM/read
node-0:120:180 [0] NCCL INFO Channel 00 : 1[1] -> 0[0] via SHM/direct/direct
"""
"""As NCCL's sources print them (transport/net.cc, p2p.cc, shm.cc); a network of InfiniBand was not at hand."""


def test_a_real_log_of_two_ranks_over_sockets():
    log = (DATA / "two_hosts_sockets.txt").read_text()
    assert collective.via(log) == ["NET/Socket/0"]


def test_a_real_log_of_one_rank_went_over_nothing():
    log = (DATA / "one_rank.txt").read_text()
    assert "Using network Socket" in log
    assert collective.via(log) == []


def test_a_real_log_of_two_gpus_of_one_host():
    found = collective.via((DATA / "one_host_two_gpus.txt").read_text())
    assert found == ["P2P/CUMEM"]
    assert over(map(transport, found)) == "P2P"


def test_infiniband_with_what_is_inside_the_host():
    found = collective.via(IB)
    assert found == ["NET/IB/0(0)/GDRDMA", "NET/IB/0/GDRDMA", "P2P/CUMEM/read", "SHM/direct/direct"]
    assert over(map(transport, found)) == "IB"


@pytest.fixture
def call(run):
    def ask(**changes: object) -> dict[str, object]:
        request = {"backend": "gloo", "store": ["127.0.0.1", 1], "first": 4, "ranks": 2, "world": 8, "seconds": 3}
        done = run("collective", stdin=json.dumps({**request, "large_bytes": 8, **changes}))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return ask


def test_every_rank_says_why_it_failed(call):
    said = call()
    assert [(rank["rank"], rank["phase"], rank["hung"]) for rank in said["ranks"]] == [
        (4, "start", False),
        (5, "start", False),
    ]
    assert all("No module named 'torch'" in rank["error"] for rank in said["ranks"])


def test_a_rank_that_is_stuck_ends_with_the_time(call, site):
    (site / "torch.py").write_text("import time\ntime.sleep(60)\n")
    began = time.monotonic()
    said = call(seconds=1)
    assert time.monotonic() - began < 10
    assert [(rank["phase"], rank["hung"], rank["error"]) for rank in said["ranks"]] == [("start", True, "")] * 2


def test_a_rank_that_is_killed_is_told_with_its_last_words(call, site):
    (site / "torch.py").write_text("import os\nos.write(2, b'out of memory\\n')\nos.kill(os.getpid(), 9)\n")
    [rank, _] = call()["ranks"]
    assert (rank["error"], rank["output"]) == ("its process ended with exit code -9", "out of memory")


def test_the_ranks_end_with_their_launcher(site, tmp_path):
    pid_file = tmp_path / "pid"
    told = f"open({str(pid_file)!r}, 'w').write(f'{{os.getpid()}} ')"
    (site / "torch.py").write_text(f"import os, time\n{told}\ntime.sleep(60)\n")
    source = (files("slipway") / "serving" / "collective.py").read_text()
    request = {"backend": "gloo", "store": ["127.0.0.1", 1], "first": 0, "ranks": 1, "world": 1, "seconds": 50}
    launcher = subprocess.Popen(
        [sys.executable, "-S", "-c", source], stdin=subprocess.PIPE, env={"PYTHONPATH": str(site)}, text=True
    )
    launcher.stdin.write(json.dumps({**request, "large_bytes": 8}))
    launcher.stdin.close()
    eventually(lambda: pid_file.exists() and pid_file.read_text().endswith(" "))
    launcher.kill()
    launcher.wait()
    eventually(lambda: not running(int(pid_file.read_text())))


def eventually(true) -> None:
    for _ in range(100):
        if true():
            return
        time.sleep(0.1)
    raise AssertionError("not within 10 s")


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
