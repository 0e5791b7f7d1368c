from __future__ import annotations

import sys

import pytest

from slipway.errors import CommandFailed, CommandTimeout, HostError, HostUnfit
from slipway.hosts import LocalHost, checked, on_each
from slipway.hosts.local import login_environment
from slipway.shell import Command


def test_runs_with_input_and_reports_both_outputs():
    result = LocalHost("a").run(Command(("sh", "-c", "cat; echo err >&2; exit 3"), stdin=b"in"))
    assert (result.returncode, result.stdout, result.stderr) == (3, "in", "err\n")
    with pytest.raises(CommandFailed) as caught:
        checked(result, hint="look there")
    for part in ("[a]", "exit code 3", "err", "next: look there"):
        assert part in str(caught.value)


def test_a_command_that_does_not_end_is_ended():
    with pytest.raises(CommandTimeout, match=r"\[a\] no end within 0.2 s"):
        LocalHost("a").run(Command(("sleep", "30"), timeout_s=0.2))


def test_a_missing_program_is_named():
    with pytest.raises(HostUnfit, match=r"\[a\] cannot run 'no-such-program'"):
        LocalHost("a").run(Command(("no-such-program",)))


def test_nothing_of_airflow_comes_along(monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "secret")
    monkeypatch.setenv("PYTHONPATH", "/x")
    monkeypatch.setenv("PIP_INDEX_URL", "site")
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)
    monkeypatch.setenv("PATH", f"{sys.prefix}/bin:/usr/bin:/bin")
    shown = LocalHost().run(Command(("env",), env={"OWN": "1"})).stdout
    assert "AIRFLOW" not in shown
    assert "PYTHONPATH" not in shown
    assert "VIRTUAL_ENV" not in shown
    assert "PIP_INDEX_URL=site" in shown
    assert "OWN=1" in shown
    assert login_environment()["PATH"] == "/usr/bin:/bin"


class TestSeveralHosts:
    def test_answers_by_name(self):
        hosts = [LocalHost(name) for name in "abc"]
        assert on_each(hosts, lambda host: host.run(Command(("true",))).ok) == {"a": True, "b": True, "c": True}

    def test_one_failure_is_itself(self):
        def work(host):
            checked(host.run(Command(("test", host.name, "=", "a"))))

        with pytest.raises(CommandFailed, match=r"\[b\]"):
            on_each([LocalHost("a"), LocalHost("b")], work)

    def test_each_of_several_failures_is_named(self):
        def work(host):
            checked(host.run(Command(("test", host.name, "=", "a"))))

        with pytest.raises(HostError) as caught:
            on_each([LocalHost(name) for name in "abc"], work)
        assert "[b]" in str(caught.value)
        assert "[c]" in str(caught.value)
        assert not caught.value.transient


@pytest.mark.parametrize(("script", "again"), [("kill -TERM $$", True), ("exit 3", False)])
def test_a_command_that_was_ended_from_outside_may_be_tried_again(script, again):
    """As when a killed scheduler takes a task with it, in the middle of a question to a host."""
    result = LocalHost().run(Command(("sh", "-c", script)))
    with pytest.raises(CommandFailed) as failed:
        checked(result)
    assert failed.value.transient is again
