"""Deployment files that mean harm: each is an error of ours that names it, within a moment; none is a traceback."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.errors import SpecError
from slipway.spec import load_deployment, parse_deployment
from slipway.spec.load import LARGEST_FILE_BYTES
from slipway.spec.serving import DENIED_ARGUMENTS, OWN_ARGUMENTS, _abbreviated

ENVIRONMENTS = Path(__file__).parents[3] / "include" / "environments"
BOMB = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20)
)


def parsed(text: str) -> object:
    return parse_deployment(text, origin="x.yaml", base=Path("/project"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "aliases are not allowed"),
        ("a: " + "[" * 100_000, "nested more than 32 deep"),
        ("{a: " * 50_000, "nested more than 32 deep"),
        ("\n".join(" " * n + "a:" for n in range(600)), "nested more than 32 deep"),
        ("a: !!python/object/apply:os.system ['touch /tmp/hostile']", "could not determine a constructor"),
        ("a: !!python/name:os.system", "could not determine a constructor"),
        ("a: " + "9" * 5000, "limit"),
        ("a: 2026-01-01", "date"),
        ("a: 2026-13-45", "month"),
        ("a: !!binary aGVsbG8=", "bytes"),
        ("a: !!set {b, c}", "set"),
        ("? [a, b]\n: c", "constructing a mapping"),
        ('a: "\\ud800"', "not YAML"),
        ("a: [", "not YAML"),
        ("- a", "not a mapping"),
        ("", "not a mapping"),
    ],
)
def test_it_is_named(text: str, said: str) -> None:
    began = time.monotonic()
    with pytest.raises(SpecError, match=said):
        parsed(text)
    assert time.monotonic() - began < 5


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "large.yaml"
    file.write_text("#" * (LARGEST_FILE_BYTES + 1))
    with pytest.raises(SpecError, match="larger than"):
        load_deployment(file)


@given(st.text(max_size=200))
def test_any_text_is_a_deployment_or_an_error_of_ours(text: str) -> None:
    with pytest.raises(SpecError):
        parsed(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_any_content_is_a_deployment_or_an_error_of_ours(content: object) -> None:
    with pytest.raises(SpecError):
        parsed(json.dumps({"version": 1, "serve": content, "hosts": content}))


@pytest.mark.parametrize("table", sorted(ENVIRONMENTS.glob("*.arguments.json")), ids=lambda path: path.name)
def test_no_argument_of_vllms_own_counts_as_an_abbreviation(table: Path) -> None:
    read = json.loads(table.read_text())
    names = set(read.get("arguments", read))
    assert {"max-model-len", "reasoning-parser"} <= names
    assert {name for name in names - {*OWN_ARGUMENTS, *DENIED_ARGUMENTS} if _abbreviated(name)} == set()
