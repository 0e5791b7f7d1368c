"""A process is written down before it runs anything."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from slipway.remote.agent.child import environment
from slipway.remote.agent.wanted import Step
from slipway.remote.refusal import Refused

DIES_AT_THE_GATE = """
import os, sys
from slipway.remote.agent.child import hold
from slipway.remote.agent.wanted import Step
held = hold(Step(("touch", sys.argv[1]), {}, None, ""), dict(os.environb), "/", 2)
print(held.pid, flush=True)
if sys.argv[2] == "release":
    sys.exit(held.release() or 0)
os._exit(0)
"""


@pytest.mark.parametrize(("how", "ran"), [("release", True), ("die", False)])
def test_an_agent_that_dies_at_the_gate_leaves_nothing(tmp_path, eventually, alive, how, ran):
    marker = tmp_path / "ran"
    argv = [sys.executable, "-c", DIES_AT_THE_GATE, str(marker), how]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(argv, env=env, stdout=subprocess.PIPE, text=True, check=True, timeout=20)
    eventually(lambda: not alive(int(done.stdout)))
    assert marker.exists() is ran


def test_a_step_has_the_agents_variables_and_its_own_and_the_secret_ones(tmp_path, monkeypatch):
    monkeypatch.setenv("KEPT", "agent")
    monkeypatch.setenv("SLIPWAY_ROLE", "/agents/x#1")
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text('{"B": "file", "ü": "ü"}')
    made = environment(Step(("x",), {"A": "step", "B": "step", "SLIPWAY_ROLE": "other"}, None, ""), str(secret))
    assert made[b"SLIPWAY_ROLE"] == b"/agents/x#1"
    assert (made[b"KEPT"], made[b"A"], made[b"B"], made["ü".encode()]) == (b"agent", b"step", b"file", "ü".encode())


@pytest.mark.parametrize(
    ("text", "message"), [("[", "is not JSON"), ("[]", "is not an object"), ('{"A": 1}', "env_file.A: is not a text")]
)
def test_a_secret_file_of_another_shape_is_refused(tmp_path, text, message):
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text(text)
    with pytest.raises(Refused, match=message):
        environment(Step(("x",), {}, None, ""), str(secret))
