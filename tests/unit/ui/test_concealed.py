"""What is hidden before it leaves, and what must stay."""

from __future__ import annotations

import pytest

from slipway.ui.concealed import HIDDEN, concealed


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "DB_PASSWORD",
        "hf-token",
        "RAY_AUTH_TOKEN",
        "secret",
        "client.secrets",
        "apikey",
        "api_key",
        "VLLM_API_KEY",
        "private-key",
        "Authorization",
        "credentials",
        "passphrase",
    ],
)
def test_what_is_named_like_a_secret_is_hidden(key: str) -> None:
    assert concealed({key: "canary"}) == {key: HIDDEN}
    assert concealed({key: {"inner": ["canary"]}}) == {key: HIDDEN}


@pytest.mark.parametrize(
    "key",
    [
        "output_tokens",
        "generation_tokens",
        "tokenizer",
        "monkey",
        "key",
        "kv_cache_keys",
        "secretary",
        "passed",
    ],
)
def test_a_word_that_only_looks_like_one_stays(key: str) -> None:
    assert concealed({key: 7}) == {key: 7}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:canary@10.0.0.1:8000/v1", "http://me:***@10.0.0.1:8000/v1"),
        (
            "postgresql+psycopg://slipway:canary@db/slipway: refused",
            "postgresql+psycopg://slipway:***@db/slipway: refused",
        ),
        ("http://:can@ary@h", "http://:***@h"),
        ("http://10.0.0.1:8000/a@b", "http://10.0.0.1:8000/a@b"),
        ("started at 10:30 by me@here", "started at 10:30 by me@here"),
    ],
)
def test_a_password_in_a_url_is_hidden(text: str, shown: str) -> None:
    assert concealed(text) == shown
    assert concealed([{"lines": (text,)}]) == [{"lines": [shown]}]


def test_everything_else_is_as_it_was() -> None:
    value = {"hosts": {"head": {"memory": 2**40, "driver": None, "gpus": [1.5, True, "H200"]}}}
    assert concealed(value) == value


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("env HF_TOKEN=canary A=1 vllm", "env HF_TOKEN=*** A=1 vllm"),
        ("env VLLM_API_KEY='can ary' vllm", "env VLLM_API_KEY=*** vllm"),
        ("vllm --api-key canary --port 1", "vllm --api-key *** --port 1"),
        ("vllm --hf-token=canary", "vllm --hf-token=***"),
        ("vllm --tokenizer a --max-num-batched-tokens 8", "vllm --tokenizer a --max-num-batched-tokens 8"),
        ("KEYS=3 OUTPUT_TOKENS_PER_S", "KEYS=3 OUTPUT_TOKENS_PER_S"),
    ],
)
def test_a_secret_in_a_command_line_is_hidden(line: str, shown: str) -> None:
    assert concealed(line) == shown
