from __future__ import annotations

import pytest

from slipway.remote.evidence.secrets import secret_values, struck, struck_argv, struck_env


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "non-default args: {'api_key': ['sk-canary'], 'port': 8}",
            "non-default args: {'api_key': ['***'], 'port': 8}",
        ),
        ("HF_TOKEN=hf_canary python3", "HF_TOKEN=*** python3"),
        ("Authorization: Bearer canary.x", "Authorization: *** ***"),
        ("curl -H 'x: Bearer canary'", "curl -H 'x: Bearer ***'"),
        ("postgresql://me:canary@db/x", "postgresql://me:***@db/x"),
        ("the word canary alone", "the word *** alone"),
        (
            "tokenizer='/srv/model', max_tokens=5, output_tokens: 7",
            "tokenizer='/srv/model', max_tokens=5, output_tokens: 7",
        ),
    ],
)
def test_what_is_said_as_a_secret_is_struck_out(said, shown):
    assert struck(said, ["canary"] if "alone" in said else []) == shown


def test_an_environment_keeps_its_names():
    env = {"VLLM_API_KEY": "canary-canary", "GLOO_SOCKET_IFNAME": "lo", "PROXY": "http://a:canary@b"}
    assert struck_env(env) == {"VLLM_API_KEY": "***", "GLOO_SOCKET_IFNAME": "lo", "PROXY": "http://a:***@b"}
    assert secret_values(env) == {"canary-canary"}
    assert secret_values({"HF_TOKEN": "short"}) == set()


def test_a_command_line_keeps_its_words():
    words = ["python", "--api-key", "canary", "--api-key=canary", "--tokenizer", "kept"]
    assert struck_argv(words) == ["python", "--api-key", "***", "--api-key=***", "--tokenizer", "kept"]
