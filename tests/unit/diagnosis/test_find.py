from __future__ import annotations

import pytest

from slipway.diagnosis import Source, diagnose
from slipway.diagnosis.lines import Cleaned

LFS_TRACE = """\
(EngineCore pid=9) Traceback (most recent call last):
(EngineCore pid=9)   File "weight_utils.py", line 1, in parse_safetensors_file_metadata
(EngineCore pid=9) MemoryError
(APIServer pid=7) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}
"""


def vllm(text: str, host: str = "one") -> Source:
    return Source(host, "vllm", "demo.vllm.log", text)


def ray(text: str, host: str = "one") -> Source:
    return Source(host, "ray", "ray/raylet.err", text)


@pytest.mark.parametrize(
    ("line", "role", "address", "rest"),
    [
        (
            "\x1b[0;36m(EngineCore pid=12)\x1b[0;0m ERROR 11-24 [core.py:1] died",
            "EngineCore",
            "",
            "ERROR 11-24 [core.py:1] died",
        ),
        ("(EngineCore pid=1) (RayWorkerProc pid=34, ip=10.0.0.2) boom", "RayWorkerProc", "10.0.0.2", "boom"),
        ("(Worker_TP1 pid=9) x", "Worker_TP1", "", "x"),
        ("(RayWorkerProc rank=1 pid=9, ip=10.0.0.3) x [repeated 3x across cluster]", "RayWorkerProc", "10.0.0.3", "x"),
        ("(not a speaker) x", "", "", "(not a speaker) x"),
    ],
)
def test_marks_are_taken_off_and_kept(line, role, address, rest):
    cleaned = Cleaned(line)
    assert cleaned.lines == [rest]
    assert (cleaned.speakers[0].role, cleaned.speakers[0].address) == (role, address)


def test_the_root_is_shown_and_not_the_last_echo():
    found = diagnose([vllm(f"{LFS_TRACE}Worker proc VllmWorker-1 died unexpectedly (exit code: 1)")])
    assert (found.id, found.role, found.line) == ("st-notst", "EngineCore", "MemoryError")


def test_a_line_of_another_host_names_that_host():
    said = "(RayWorkerProc pid=5, ip=10.0.0.2) RuntimeError: Unable to find address for: ib7"
    found = diagnose([vllm(said)], {"10.0.0.1": "one", "10.0.0.2": "two"})
    assert (found.host, found.role) == ("two", "RayWorkerProc")
    assert found.cause == "this host has no interface ib7"


def test_the_lower_program_is_the_cause_of_the_upper():
    killed = "Failed core proc(s): {'EngineCore_DP0': -9}"
    kernel = Source(
        "two", "kernel", "kernel.txt", "[9.1] Out of memory: Killed process 4242 (VLLM::EngineCor) total-vm:1kB"
    )
    assert diagnose([vllm(killed)]).id == "proc-sigkill"
    found = diagnose([vllm(killed), kernel])
    assert (found.id, found.host, found.log) == ("kernel-oom", "two", "kernel.txt")


def test_of_two_equals_the_earlier_counts():
    port = "OSError: [Errno 98] Address already in use"
    memory = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 MiB. GPU 6"
    assert diagnose([vllm(f"{port}\n{memory}")]).id == "port-busy"
    assert diagnose([vllm(f"{memory}\n{port}")]).id == "cuda-oom"


def test_a_signature_counts_only_in_the_logs_of_its_program():
    assert diagnose([ray("error: unrecognized arguments: --swap-space")]) is None


def test_unknown_is_unknown():
    assert diagnose([vllm("RuntimeError: Engine core initialization failed. See root cause above.")]) is None
    assert diagnose([]) is None


def test_a_diagnosis_says_cause_place_and_what_to_change():
    text = diagnose([vllm("\x1b[1merror: unrecognized arguments: --swap-space 32")]).text
    assert text.splitlines() == [
        "cause: this vLLM has no argument --swap-space",
        "  [one] demo.vllm.log: error: unrecognized arguments: --swap-space 32",
        (
            "  next: remove or rename it; `slipway check FILE` names each argument that this release knows "
            "(in the deployment file: serve.args)"
        ),
    ]
