"""What every host must do, held against this machine directly and over a real SSH connection."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from slipway.errors import CommandTimeout, HostUnreachable
from slipway.hosts import Host, LocalHost, SSHHost
from slipway.shell import Command

MEGABYTE = bytes(range(256)) * 4096


@pytest.fixture(params=["local", "ssh"])
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    if request.param == "local":
        yield LocalHost("one")
        return
    over_ssh = SSHHost("one", request.getfixturevalue("sshd").connect)
    yield over_ssh
    over_ssh.close()


def test_exit_code_and_outputs(host):
    result = host.run(Command(("sh", "-c", "echo out; echo err >&2; exit 7")))
    assert (result.host, result.returncode, result.stdout, result.stderr) == ("one", 7, "out\n", "err\n")


@pytest.mark.parametrize("word", ["", "a b", "$(id)", "`id`", "'", '"', "\\", "\n", ";", "*", "~", "ä€𝄞", "-n"])
def test_words_arrive_as_they_are(host, word):
    assert host.run(Command(("printf", "%s", word), env={"X": word})).stdout == word
    assert host.run(Command(("sh", "-c", 'printf %s "$X"'), env={"X": word})).stdout == word


def test_folder(host, tmp_path):
    assert host.run(Command(("pwd",), cwd=str(tmp_path))).stdout.strip() == str(tmp_path)


def test_large_input_and_output_at_once(host):
    result = host.run(Command(("sh", "-c", "tee /dev/stderr | wc -c"), stdin=MEGABYTE))
    assert result.stdout.strip() == str(len(MEGABYTE))


def test_input_that_is_not_read_is_no_error(host):
    assert host.run(Command(("true",), stdin=MEGABYTE)).ok


def test_a_command_in_the_background_does_not_hold_the_call(host):
    began = time.monotonic()
    assert host.run(Command(("sh", "-c", "sleep 5 </dev/null >/dev/null 2>&1 & echo $!"))).ok
    assert time.monotonic() - began < 3


def test_the_time_limit_holds(host):
    began = time.monotonic()
    with pytest.raises(CommandTimeout, match=r"\[one\]"):
        host.run(Command(("sleep", "20"), timeout_s=0.5))
    assert time.monotonic() - began < 5


def test_many_commands_on_one_host(host):
    assert [host.run(Command(("echo", str(n)))).stdout.strip() for n in range(20)] == [str(n) for n in range(20)]


def test_a_host_that_is_not_there_is_named(sshd):
    import dataclasses

    def connect():
        try:
            return dataclasses.replace(sshd, port=1).connect()
        except OSError as error:
            raise HostUnreachable("two", str(error)) from error

    with pytest.raises(HostUnreachable, match=r"\[two\]"):
        SSHHost("two", connect).run(Command(("true",)))


def test_a_lost_connection_is_opened_again(sshd):
    host = SSHHost("one", sshd.connect)
    assert host.run(Command(("true",))).ok
    host._client.get_transport().sock.close()
    with pytest.raises(HostUnreachable):
        _until_lost(host)
    assert host.run(Command(("true",))).ok
    host.close()


def _until_lost(host: SSHHost) -> None:
    """The transport may take a moment to see that its socket is closed."""
    for _ in range(3):
        host.run(Command(("sleep", "0.3")))
