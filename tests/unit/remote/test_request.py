"""Any bytes are a request or a refusal that names the field."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.remote.agent.wanted import Wanted, parse_wanted
from slipway.remote.refusal import Refused
from slipway.remote.request import Request, load_request

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ["digest", "labels", "steps", "server", "ready", "restart", "stop", "env_file", "ports"]
SOUND = {"digest": "d", "steps": [{"argv": ["x"]}], "ready": {"url": "http://h/"}, "server": True}


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"1", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_object_is_refused(text):
    with pytest.raises(Refused, match="standard input is not"):
        load_request(io.BytesIO(text))


def test_missing_fields_have_their_defaults():
    request = load_request(io.BytesIO(b'{"a": null}'))
    assert request.text("a", "x") == "x"
    assert request.optional_text("a") is None
    assert (request.texts("a"), request.variables("a"), request.parts("a"), request.integers("a")) == ([], {}, [], [])
    assert (request.integer("a", 3), request.number("a", 0.5)) == (3, 0.5)
    assert (request.flag("b"), request.part("a")) == (False, None)
    for read in (request.text, request.integer, request.number):
        with pytest.raises(Refused, match=r"^a: "):
            read("a")


def test_a_nested_field_is_named_by_its_place():
    with pytest.raises(Refused, match=r"^a\.b\[1\]\.c\[0\]: is not a text$"):
        Request({"a": {"b": [{}, {"c": [1]}]}}).part("a").parts("b")[1].texts("c")


@given(st.sampled_from(FIELDS), JSON)
def test_any_value_is_taken_or_refused(field, value):
    request = Request(json.loads(json.dumps({**SOUND, field: value})))
    try:
        outcome = parse_wanted(request)
    except Refused as refused:
        outcome = str(refused)
    assert isinstance(outcome, Wanted) or outcome.startswith((field, "restart"))
