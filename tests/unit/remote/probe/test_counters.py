"""What the processes of a role have used up, held against what a process of the test's own does."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from slipway.remote.probe import counters as module
from slipway.remote.probe.counters import counters
from slipway.remote.refusal import Refused
from slipway.remote.request import Request

READS = "open('/dev/zero','rb').read(50_000_000); print('read', flush=True); import time; time.sleep(60)"
COMPUTES = """
import subprocess, sys, time
work = "import time; end = time.process_time() + 0.4\\nwhile time.process_time() < end: pass"
subprocess.run([sys.executable, "-c", work])
print("computed", flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "gpus", lambda: {"gpus": []})


def seen(agents, *roles: str) -> dict:
    return counters(Request({"folder": str(agents.folder), "roles": list(roles)}))


def test_what_a_process_and_its_children_have_used(agents, eventually):
    agents.start([sys.executable, "-c", READS], role="x.vllm")
    agents.start([sys.executable, "-c", COMPUTES], role="x.ray-head")
    eventually(lambda: "read" in agents.log("x.vllm") and "computed" in agents.log("x.ray-head"))
    eventually(lambda: len(seen(agents, "x.vllm", "x.ray-head")["processes"]) == 2)
    answer = seen(agents, "x.vllm", "x.ray-head")
    reads, computes = answer["processes"]
    assert (reads["role"], reads["pid"]) == ("x.vllm", agents.status("x.vllm")["session"])
    assert reads["read_bytes"] >= 50_000_000 > computes["read_bytes"]
    assert computes["cpu_s"] >= 0.4, "that of a child that has ended counts"
    assert reads["title"] == sys.executable[: module.TITLE_BYTES]
    assert Path(f"/proc/{reads['parent']}").exists()
    assert answer["gpu_memory_bytes"] is None
    assert answer["utc_offset_s"] == time.localtime().tm_gmtoff


def test_of_a_role_that_ended_and_one_that_never_was(agents):
    agents.start([sys.executable, "-c", "pass"], role="x.vllm")
    agents.ended("x.vllm")
    assert seen(agents, "x.vllm", "x.nothing")["processes"] == []


@pytest.mark.parametrize(("used", "said"), [([5, 7], 12), ([5, None], None), ([], None)])
def test_gpu_memory_is_that_of_all_or_unknown(agents, monkeypatch, used, said):
    monkeypatch.setattr(module, "gpus", lambda: {"gpus": [{"memory_used_bytes": each} for each in used]})
    assert seen(agents)["gpu_memory_bytes"] == said


def test_a_role_is_named_as_one():
    with pytest.raises(Refused):
        counters(Request({"folder": "/srv/agents", "roles": ["../x"]}))
