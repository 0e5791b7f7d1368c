"""The kit's bytes, and the commands that bring it to a host and speak with it there."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile

import pytest

from slipway.commands import kit
from slipway.errors import CommandFailed, HostError
from slipway.shell import Command, Result


def run(command: Command, **options) -> Result:
    done = subprocess.run(command.argv, input=command.stdin, capture_output=True, timeout=20, check=False, **options)
    return Result("a", command, done.returncode, done.stdout.decode(), done.stderr.decode(), 0.0)


def result(code: int, stdout: str = "", stderr: str = "") -> Result:
    return Result("head", kit.call("/r", "agent", "status", {}), code, stdout, stderr, 0.1)


class TestArchive:
    def test_the_same_sources_give_the_same_bytes(self):
        again = kit.archive.__wrapped__()
        assert again == kit.archive()
        assert hashlib.sha256(again).hexdigest().startswith(kit.digest())
        assert len(kit.digest()) == 12

    def test_another_source_gives_another_digest(self, tmp_path, monkeypatch):
        (tmp_path / "remote").mkdir()
        (tmp_path / "remote" / "__main__.py").write_text("x = 1\n")
        (tmp_path / "remote" / "notes.txt").write_text("not packed")
        (tmp_path / "remote" / "__pycache__").mkdir()
        monkeypatch.setattr(kit, "files", lambda package: tmp_path)
        first = kit.archive.__wrapped__()
        os.utime(tmp_path / "remote" / "__main__.py", (0, 0))
        assert kit.archive.__wrapped__() == first
        assert zipfile.ZipFile(io.BytesIO(first)).namelist() == [
            "__main__.py",
            "slipway/__init__.py",
            "slipway/remote/__main__.py",
        ]
        (tmp_path / "remote" / "__main__.py").write_text("x = 2\n")
        assert kit.archive.__wrapped__() != first

    def test_nothing_of_it_depends_on_this_machine(self):
        with zipfile.ZipFile(io.BytesIO(kit.archive())) as packed:
            for member in packed.infolist():
                assert member.date_time == (1980, 1, 1, 0, 0, 0)
                assert (member.compress_type, member.create_system) == (zipfile.ZIP_STORED, 3)

    def test_an_old_interpreter_is_told_so(self, monkeypatch, capsys):
        monkeypatch.setattr(sys, "version_info", (3, 6, 8, "final", 0))
        with pytest.raises(SystemExit) as ended:
            exec(kit.MAIN)
        assert ended.value.code == 3
        assert "is 3.6, too old" in json.loads(capsys.readouterr().out)["error"]

    def test_sources_are_data(self):
        """Neither the archive nor its digest imports a program that belongs on a host."""
        script = "import sys; from slipway.commands import kit; kit.digest(); print(*sys.modules)"
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
        assert not [name for name in done.stdout.split() if name.startswith("slipway.remote")]


class TestInstall:
    def test_is_seen_and_can_be_repeated(self, tmp_path):
        root = str(tmp_path / "a b" / "root")
        previous = os.umask(0o077)
        try:
            assert not run(kit.installed(root)).ok
            for _ in range(2):
                assert run(kit.install(root)).ok
                assert run(kit.installed(root)).ok
        finally:
            os.umask(previous)
        [path] = (tmp_path / "a b" / "root" / "kit").iterdir()
        assert path.name == f"{kit.digest()}.pyz"
        assert path.read_bytes() == kit.archive()
        assert path.stat().st_mode & 0o777 == 0o644
        assert {folder.stat().st_mode & 0o777 for folder in path.parents[:2]} == {0o755}
        assert kit.reply(run(kit.call(root, "files", "read", {"path": str(path), "limit": 0})))["exists"]

    def test_what_arrives_in_part_is_not_written(self, tmp_path):
        whole = kit.write(str(tmp_path / "sub" / "file"), b"0123456789")
        cut = run(Command(whole.argv, stdin=b"01234"))
        assert not cut.ok
        assert "nothing was written" in cut.stderr
        assert list(tmp_path.iterdir()) == []

    def test_a_failure_leaves_no_half(self, tmp_path):
        (tmp_path / "file").mkdir()
        refused = run(kit.write(str(tmp_path / "file"), b"x"))
        assert not refused.ok
        assert refused.stderr.endswith(": Is a directory\n")
        assert "Traceback" not in refused.stderr
        assert [path.name for path in tmp_path.iterdir()] == ["file"]

    def test_any_bytes_may_be_written_with_a_mode(self, tmp_path):
        assert run(kit.write(str(tmp_path / "a" / "f"), bytes(range(256)), mode=0o600)).ok
        assert (tmp_path / "a" / "f").read_bytes() == bytes(range(256))
        assert (tmp_path / "a" / "f").stat().st_mode & 0o777 == 0o600


class TestCall:
    def test_is_an_argument_list_and_compact_json(self):
        command = kit.call("/r", "agent", "wait", {"role": "x", "folder": "/r/agents"}, timeout_s=90, secret=True)
        assert command.argv == ("python3", f"/r/kit/{kit.digest()}.pyz", "agent", "wait")
        assert command.stdin == b'{"folder":"/r/agents","role":"x"}'
        assert (command.timeout_s, command.secret) == (90, True)
        assert kit.spoken(command)
        assert not kit.spoken(kit.install("/r"))
        assert not kit.spoken(kit.installed("/r"))

    def test_a_secret_request_is_not_shown(self):
        shown = kit.call("/r", "files", "write", {"text": "hidden"}, secret=True).text()
        assert "hidden" not in shown
        assert "files write" in shown


class TestReply:
    def test_is_the_one_object(self):
        assert kit.reply(result(0, '{"a": 1}\n')) == {"a": 1}
        assert kit.reply(result(0, 'Welcome to this host\n{"a": 1}\n')) == {"a": 1}

    def test_a_refusal_has_the_programs_own_words(self):
        said = json.dumps({"error": "the role is alive", "hint": "stop it first"})
        with pytest.raises(HostError) as raised:
            kit.reply(result(3, said))
        assert type(raised.value) is HostError
        assert str(raised.value) == "[head] the role is alive\n  next: stop it first"

    @pytest.mark.parametrize(
        ("code", "stdout", "stderr", "hint"),
        [
            (1, "", "Traceback ...", ""),
            (3, "no json", "", ""),
            (3, '{"other": 1}', "", ""),
            (2, "", "python3: can't open file '/r/kit/x.pyz'", "install it"),
        ],
    )
    def test_any_other_end_is_a_failed_command(self, code, stdout, stderr, hint):
        with pytest.raises(CommandFailed) as raised:
            kit.reply(result(code, stdout, stderr))
        assert hint in raised.value.hint
        assert bool(hint) == bool(raised.value.hint)

    @pytest.mark.parametrize("stdout", ["", "\n", "[]", "done", "5"])
    def test_an_end_without_an_answer_is_an_error(self, stdout):
        with pytest.raises(HostError, match="no answer"):
            kit.reply(result(0, stdout))
