"""The page of promises is true: its tests are there. And no wait is without an end, as far as the source shows it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "promises.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/\S+?\.py)::(\w+)`", PAGE)))
SOURCES = sorted((ROOT / "include" / "slipway").rglob("*.py"))

BOUNDED = {
    "subprocess.run": "timeout",
    "subprocess.check_output": "timeout",
    "subprocess.check_call": "timeout",
    "socket.create_connection": "timeout",
    "urllib.request.urlopen": "timeout",
    "httpx.Client": "timeout",
    "httpx.AsyncClient": "timeout",
    "http.client.HTTPConnection": "timeout",
}
"""Calls that wait for somebody else, and the argument that ends the wait; the second in order where it has no name."""


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def is_bounded(name: str, call: ast.Call) -> bool:
    given = {keyword.arg for keyword in call.keywords}
    by_order = name == "socket.create_connection" and len(call.args) > 1
    return BOUNDED[name] in given or None in given or by_order


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[f"{Path(file).stem}-{name}" for file, name in NAMED])
def test_every_test_that_the_page_names_is_there(file: str, name: str) -> None:
    assert f"def {name}(" in (ROOT / file).read_text()


def test_every_promise_has_a_test() -> None:
    rows = re.findall(r"^\| \*\*(P\d+)\*\* .*? \| (.*) \|$", PAGE, re.MULTILINE)
    assert [row for row, _ in rows] == [f"P{number}" for number in range(1, 12)]
    assert all("::" in held for _, held in rows)


def test_nothing_waits_for_a_program_or_a_connection_without_an_end() -> None:
    seen = [(path, name, call) for path in SOURCES for name, call in calls(path) if name in BOUNDED]
    endless = [f"{path.name}:{call.lineno}: {name}" for path, name, call in seen if not is_bounded(name, call)]
    assert endless == []
    assert seen, "such calls are there"
