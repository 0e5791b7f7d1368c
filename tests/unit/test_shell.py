from __future__ import annotations

import subprocess

from hypothesis import given
from hypothesis import strategies as st

from slipway.shell import HIDDEN, Command, Result

WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)


@given(st.lists(WORDS, min_size=1, max_size=4), st.dictionaries(st.sampled_from(["A", "B_2"]), WORDS))
def test_a_line_means_exactly_its_words(words, env):
    command = Command(("printf", "%s\\0", *words), env=env)
    shown = subprocess.run(["/bin/sh", "-c", command.line()], capture_output=True, check=True).stdout
    assert shown.decode().split("\0")[:-1] == words


def test_environment_and_folder_are_part_of_the_line(tmp_path):
    folder = tmp_path / "a b"
    folder.mkdir()
    line = Command(("sh", "-c", 'pwd; printf %s "$X"'), env={"X": "$(id) '\""}, cwd=str(folder)).line()
    assert (
        subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=True).stdout
        == f"{folder}\n$(id) '\""
    )


def test_text_shows_standard_input_but_no_secret():
    assert Command(("cat",), stdin=b"hello\n").text() == "cat <<'EOF'\nhello\nEOF"
    secret = Command(("cat",), stdin=b"token", secret=True).text()
    assert HIDDEN in secret
    assert "token" not in secret
    assert "3 bytes" in Command(("cat",), stdin=b"\xff\xfe\x00").text()


def test_last_lines_prefer_standard_error():
    result = Result("a", Command(("x",)), 1, "out", "1\n2\n3\n", 0.1)
    assert result.last_lines(2) == "2\n3"
    assert Result("a", Command(("x",)), 1, "out", "", 0.1).last_lines() == "out"
