"""The kit on a bare interpreter: its door, and that it needs no more than Python 3.9 and its standard library."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

SOURCES = sorted(Path(str(files("slipway").joinpath("remote"))).glob("*.py"))


def interpreters() -> list[str]:
    """This one, and each older one of the machine that runs."""
    found = [shutil.which(name) for name in ("python3.9", "python3.10")]
    return [sys.executable, *(path for path in found if path and _runs(path))]


def _runs(path: str) -> bool:
    return subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_a_source_is_of_python_3_9_and_imports_the_standard_library_alone(source):
    tree = ast.parse(source.read_text(), feature_version=(3, 9))
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            assert name.startswith("slipway.remote") or name.split(".")[0] in sys.stdlib_module_names, name


@pytest.mark.parametrize("python", interpreters())
def test_a_role_lives_its_life_on_a_bare_interpreter(kit_program, tmp_path, python):
    kit = type(kit_program)(kit_program.path, python)
    role = {"folder": str(tmp_path / "agents"), "role": "demo.vllm"}
    wanted = {**role, "digest": "d", "server": True, "steps": [{"argv": ["sh", "-c", "echo up; exec sleep 300"]}]}
    try:
        assert kit.ask("agent", "start", wanted)["started"]
        assert kit.ask("agent", "status", role)["alive"]
        assert kit.ask("agent", "log", role)["text"] in ("", "up\n")
    finally:
        assert kit.ask("agent", "stop", role)["stopped"]
    assert kit.ask("agent", "wait", {**role, "seconds": 0})["state"] == "stopped"
    path = str(tmp_path / "file")
    assert kit.ask("files", "write", {"path": path, "text": "x"}) == {"changed": True}
    assert kit.ask("probe", "machine", {"paths": ["/"], "commands": ["sh"]})["python"].startswith("3.")
    seen = kit.ask("probe", "http", {"requests": [{"url": "http://127.0.0.1:9/"}]})
    assert seen["responses"][0]["error"] == "refused"
    assert kit.ask("probe", "ports", {"ports": [{"host": "127.0.0.1", "port": 9}]})["ports"][0]["free"]
    assert kit.ask("stage", "look", {"source": "/nonexistent", "store": path})["source_exists"] is False


@pytest.mark.parametrize(
    ("program", "verb", "stdin", "said"),
    [
        ("nonsense", "x", b"{}", "no program 'nonsense'; known are agent, evidence, files, models, probe, stage"),
        ("../agent", "x", b"{}", "no program '../agent'"),
        ("files", "steal", b"{}", "files: no verb 'steal'; known are compare, link, part, read, remove, write"),
        ("files", "__class__", b"{}", "files: no verb"),
        ("files", "read", b"not json", "the request on standard input is not JSON"),
        ("files", "read", b"{}", "path: is missing"),
        ("files", "write", b'{"path": "/proc/none/x", "text": ""}', "/proc/none: No such file or directory"),
    ],
)
def test_a_bad_call_is_refused_without_a_traceback(kit_program, program, verb, stdin, said):
    done = kit_program.raw(program, verb, stdin)
    assert (done.returncode, done.stderr) == (3, b"")
    refused = json.loads(done.stdout)
    assert refused["error"].startswith(said)
    assert set(refused) == {"error", "hint"}


def test_a_foreign_slipway_on_the_host_is_not_used(kit_program, tmp_path):
    (tmp_path / "slipway").mkdir()
    (tmp_path / "slipway" / "__init__.py").write_text("raise RuntimeError('foreign')")
    env = {"PYTHONPATH": str(tmp_path)}
    assert kit_program.ask("files", "read", {"path": str(tmp_path / "x")}, env=env, cwd=tmp_path)["exists"] is False
