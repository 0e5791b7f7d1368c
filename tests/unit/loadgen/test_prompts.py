"""Prompts counted by a real HTTP server with a small tokenizer: pieces of four letters, and one special token.

Its chat template puts ``user:`` before the message and ``model:`` behind it, so a message's first word has a space
there.
"""

from __future__ import annotations

import io
import json
import random
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from slipway.errors import LoadTestFailed
from slipway.loadgen.prepare import main, prepare
from slipway.loadgen.prompts import Prompt, load_prompts, make_prompts, save_prompts, vary

BOS = 1


class Tokenizer:
    """Answers ``/tokenize`` and ``/detokenize`` as vLLM does; anything else is a fault of the caller."""

    def __init__(self) -> None:
        self.pieces: list[str] = ["", "<s>"]

    def ids(self, text: str, *, specials: bool) -> list[int]:
        found = re.findall(r" ?[a-z]{1,4}:?| ", text)
        assert "".join(found) == text
        self.pieces += [piece for piece in dict.fromkeys(found) if piece not in self.pieces]
        return [BOS] * specials + [self.pieces.index(piece) for piece in found]

    def template(self, messages: list[dict[str, str]]) -> str:
        return "".join(f"{each['role']}: {each['content']} " for each in messages) + "model:"

    def count(self, text: str, endpoint: str) -> int:
        """What vLLM's ``usage`` would say of a request with this prompt."""
        if endpoint == "completions":
            return len(self.ids(text, specials=True))
        return len(self.ids(self.template([{"role": "user", "content": text}]), specials=False))

    def behave(self, call: Any) -> None:
        asked = call.asked
        assert asked.pop("model") == "m"
        path = call.head.split()[1]
        if path == "/tokenize":
            text = self.template(asked["messages"]) if "messages" in asked else asked["prompt"]
            ids = self.ids(text, specials=asked.get("add_special_tokens", "prompt" in asked))
            answer: dict[str, Any] = {"count": len(ids), "max_model_len": 4096, "tokens": ids}
        else:
            assert path == "/detokenize"
            answer = {"prompt": "".join(self.pieces[each] for each in asked["tokens"])}
        body = json.dumps(answer).encode()
        call.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


@pytest.mark.parametrize("endpoint", ["chat", "completions"])
@pytest.mark.parametrize("tokens", [2, 32, 300])
def test_every_prompt_has_exactly_the_tokens(serve: Any, endpoint: Any, tokens: int) -> None:
    tokenizer = Tokenizer()
    prompts = make_prompts(serve(tokenizer.behave).url, "m", tokens, 20, 7, endpoint)
    template = tokenizer.count("word", "chat") - 1 if endpoint == "chat" else 0
    assert {tokenizer.count(prompt.text, endpoint) for prompt in prompts} == {template + tokens}
    assert len({prompt.text for prompt in prompts}) == 20
    assert not any(prompt.text != prompt.text.strip() for prompt in prompts)
    assert {(prompt.tokens, prompt.synthetic, prompt.kept) for prompt in prompts} == {(tokens, True, 0)}


@pytest.mark.parametrize("endpoint", ["chat", "completions"])
def test_a_shared_prefix_is_the_same_in_every_prompt_varied_or_not(serve: Any, endpoint: Any) -> None:
    tokenizer = Tokenizer()
    prompts = make_prompts(serve(tokenizer.behave).url, "m", 40, 20, 7, endpoint, shared=16)
    varied = [vary(prompt, random.Random(seed)) for seed, prompt in enumerate(prompts)]
    assert len({each.text for each in (*prompts, *varied)}) == 40
    [prefix] = {each.text[: each.kept] for each in (*prompts, *varied)}
    assert len(tokenizer.ids(prefix, specials=False)) == 16
    assert len({tokenizer.count(each.text, endpoint) for each in (*prompts, *varied)}) == 1


def test_a_seed_gives_the_same_prompts_and_another_one_others(serve: Any) -> None:
    url = serve(Tokenizer().behave).url
    first, again, other = (make_prompts(url, "m", 16, 5, seed, "chat") for seed in (1, 1, 2))
    assert first == again
    assert not {each.text for each in first} & {each.text for each in other}


def test_the_key_is_sent(serve: Any) -> None:
    server = serve(Tokenizer().behave)
    make_prompts(server.url, "m", 4, 2, 1, "chat", api_key="s3cret")
    assert {"Bearer s3cret" in call.head for call in server.calls} == {True}


def test_a_server_that_does_not_tokenize(serve: Any) -> None:
    server = serve(lambda call: call.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"))
    with pytest.raises(LoadTestFailed, match=r"does not tokenize: /tokenize: .*404"):
        make_prompts(server.url, "m", 4, 2, 1, "chat")


def test_a_prompt_that_has_no_room_beside_the_special_tokens(serve: Any) -> None:
    with pytest.raises(LoadTestFailed, match="at least 2 tokens"):
        make_prompts(serve(Tokenizer().behave).url, "m", 1, 2, 1, "completions")


def test_a_tokenizer_that_never_gives_the_number_back(serve: Any) -> None:
    class Odd(Tokenizer):
        def ids(self, text: str, *, specials: bool) -> list[int]:
            ids = super().ids(text, specials=specials)
            return ids + ids[: len(ids) % 2]

    with pytest.raises(LoadTestFailed, match="only 0 of 3 prompts of exactly 5 tokens"):
        make_prompts(serve(Odd().behave).url, "m", 5, 3, 1, "completions")


def test_varied_prompts_keep_their_tokens() -> None:
    tokenizer = Tokenizer()
    prompt = Prompt(" ".join(["word", *"abcdefghij" * 8, "wonderful"]), 84, synthetic=True)
    varied = [vary(prompt, random.Random(seed)) for seed in range(5)]
    assert len({each.text for each in varied}) == 5
    assert {len(tokenizer.ids(each.text, specials=False)) for each in [prompt, *varied]} == {84}


def test_prompts_are_read_as_they_were_saved(tmp_path: Path) -> None:
    prompts = [Prompt("é\n\u2028x", 3), Prompt("b", 1, synthetic=True), Prompt("a b", 2, synthetic=True, kept=1)]
    save_prompts(tmp_path / "p.jsonl", prompts)
    assert load_prompts(tmp_path / "p.jsonl") == prompts


@pytest.mark.parametrize("line", ["{", "[]", '{"prompt":"a"}', '{"prompt":"a","tokens":"many"}', "3"])
def test_a_broken_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(f'{{"prompt":"a","tokens":1}}\n{line}\n')
    with pytest.raises(LoadTestFailed, match=r"p\.jsonl, line 2"):
        load_prompts(path)


def test_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LoadTestFailed, match="cannot read the prompts"):
        load_prompts(tmp_path / "none.jsonl")


def test_prepare_makes_a_cells_folder(serve: Any, plan_for: Any, capsys: pytest.CaptureFixture[str]) -> None:
    plan = plan_for(serve(Tokenizer().behave).url, prompt_tokens=1 << 15)
    plan = type(plan)(**{**plan.__dict__, "prompt_tokens": 8, "seed": 3})
    prepare(plan)
    prompts = load_prompts(plan.prompts_path)
    assert len({each.text for each in prompts}) == len(prompts) == 512
    assert {(each.tokens, each.synthetic) for each in prompts} == {(8, True)}
    assert "512 prompts of 8 tokens, seed 3" in capsys.readouterr().err


def test_prepare_leaves_given_prompts_alone(plan_for: Any, tmp_path: Path) -> None:
    prepare(plan_for("http://127.0.0.1:9", prompts_file=str(tmp_path / "mine.jsonl")))
    assert not (tmp_path / "mine.jsonl").exists()


@pytest.mark.parametrize(("endpoint", "tokens"), [("chat", [1, 3]), ("completions", [2, 4])])
def test_prepare_counts_the_prompts_of_a_data_set(
    serve: Any, plan_for: Any, tmp_path: Path, endpoint: str, tokens: list[int]
) -> None:
    dataset = tmp_path / "chats.jsonl"
    dataset.write_text('{"prompt": "one two tree"}\n{"messages": [{"role": "user", "content": "why"}]}\n')
    plan = plan_for(serve(Tokenizer().behave).url, dataset=str(dataset), endpoint=endpoint)
    prepare(plan)
    found = sorted(load_prompts(plan.prompts_path), key=lambda each: each.tokens)
    assert found == [Prompt("why", tokens[0]), Prompt("one two tree", tokens[1])]


def test_a_wrong_plan_is_said_and_ends_with_1(monkeypatch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"users": -1}')))
    assert main() == 1
    assert "users" in capsys.readouterr().err
