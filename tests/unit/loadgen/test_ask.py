from __future__ import annotations

import json
from typing import Any

import pytest

from slipway.errors import LoadTestFailed
from slipway.loadgen.ask import Asking, Request, address
from slipway.loadgen.plan import LoadPlan
from slipway.loadgen.prompts import Prompt

WORDS = "one two three four five six seven eight nine ten"


def _plan(**changes: Any) -> LoadPlan:
    given: dict[str, Any] = {"base_url": "http://h:8000", "model": "m", "users": 1, "seconds": 1.0, "folder": "/f"}
    return LoadPlan(**(given | changes))


def _prompt(request: Request) -> str:
    return str(json.loads(request.text.partition(b"\r\n\r\n")[2])["prompt"])


def _asking(prompts: list[Prompt], **where: int) -> Asking:
    return Asking(_plan(endpoint="completions"), prompts, **where)


def test_the_length_is_that_of_the_bytes() -> None:
    head, _, body = _asking([Prompt("é漢🚢", 3)]).next().text.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert json.loads(body)["prompt"] == "é漢🚢"


def test_processes_share_the_prompts_without_overlap() -> None:
    prompts = [Prompt(f"p{number}", 1) for number in range(6)]
    first, second = (_asking(prompts, offset=at, step=2) for at in (0, 1))
    assert [_prompt(first.next()) for _ in range(3)] == ["p0", "p2", "p4"]
    assert [_prompt(second.next()) for _ in range(3)] == ["p1", "p3", "p5"]


def test_a_used_synthetic_prompt_comes_again_in_another_order() -> None:
    asking = _asking([Prompt(WORDS, 10, synthetic=True)])
    first, *later = (_prompt(asking.next()) for _ in range(20))
    assert first == WORDS
    assert len({*later, first}) == 20
    assert {each.split()[0] for each in later} == {"one"}
    assert {tuple(sorted(each.split())) for each in later} == {tuple(sorted(WORDS.split()))}


def test_a_natural_prompt_comes_again_as_it_is() -> None:
    asking = _asking([Prompt(WORDS, 10)])
    assert {_prompt(asking.next()) for _ in range(5)} == {WORDS}


def test_natural_answers_may_end_when_they_end() -> None:
    body = json.loads(Asking(_plan(ignore_eos=False), [Prompt("a", 1)]).next().text.partition(b"\r\n\r\n")[2])
    assert "ignore_eos" not in body


def test_every_request_has_its_own_id() -> None:
    asking = [_asking([Prompt("a", 1)]) for _ in range(2)]
    assert len({each.next().id for each in asking for _ in range(50)}) == 100


@pytest.mark.parametrize("value", ["", "a\r\nX: y"])
def test_a_key_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("A_KEY", value)
    with pytest.raises(LoadTestFailed, match="A_KEY holds no API key"):
        Asking(_plan(api_key_env="A_KEY"), [Prompt("a", 1)])


def test_no_prompt_is_refused() -> None:
    with pytest.raises(LoadTestFailed, match="holds no prompt"):
        _asking([])


@pytest.mark.parametrize(
    ("url", "expected"),
    [("http://h:8000", ("h", 8000)), ("http://h/x", ("h", 80)), ("http://[::1]:81", ("::1", 81))],
)
def test_where_to_connect(url: str, expected: tuple[str, int]) -> None:
    assert address(url) == expected
