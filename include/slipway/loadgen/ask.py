"""The bytes of each request, built before its clock starts, and the prompts in the order in which they are used."""

from __future__ import annotations

import json
import os
import random
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from slipway.errors import LoadTestFailed
from slipway.loadgen.prompts import Prompt, vary
from slipway.results.plan import LoadPlan

PATHS = {"chat": "/v1/chat/completions", "completions": "/v1/completions"}


@dataclass(frozen=True, slots=True)
class Request:
    """``id`` is sent as ``X-Request-Id``; ``prompt_tokens`` are those of the prompt's own text, ``output_tokens`` the
    most that the answer may have."""

    id: str
    text: bytes
    prompt_tokens: int
    output_tokens: int


class Asking:
    """Makes the requests of one load process: every ``step``-th prompt from ``offset`` on, then varied ones.

    ``exact`` asks the server to state the usage in every event. It is switched on once events and tokens were seen to
    differ, because it costs the server some microseconds a token.
    """

    def __init__(self, plan: LoadPlan, prompts: Sequence[Prompt], *, offset: int = 0, step: int = 1) -> None:
        if not prompts:
            hint = "make prompts first: see slipway.loadgen.prepare"
            raise LoadTestFailed(f"{plan.prompts_path} holds no prompt", hint=hint)
        self.exact = False
        self._plan = plan
        self._prompts = prompts
        self._next, self._step = offset, step
        self._name = secrets.token_hex(4)
        self._count = 0
        self._head = _head(plan)
        self._random = random.Random(f"{plan.seed} {self._name}")  # noqa: S311 - varies prompts, keeps no secret

    def next(self) -> Request:
        prompt = self._next_prompt()
        self._count += 1
        name = f"{self._name}-{self._count}"
        longest = prompt.output_tokens or self._plan.output_tokens
        body = json.dumps(self._body(prompt.text, longest), ensure_ascii=False).encode()
        head = f"{self._head}X-Request-Id: {name}\r\nContent-Length: {len(body)}\r\n\r\n"
        return Request(name, head.encode() + body, prompt.tokens, longest)

    def _next_prompt(self) -> Prompt:
        at, self._next = self._next, self._next + self._step
        prompt = self._prompts[at % len(self._prompts)]
        return vary(prompt, self._random) if at >= len(self._prompts) else prompt

    def _body(self, prompt: str, longest: int) -> dict[str, object]:
        plan = self._plan
        chat = plan.endpoint == "chat"
        asked = {"messages": [{"role": "user", "content": prompt}]} if chat else {"prompt": prompt}
        options = {"include_usage": True, "continuous_usage_stats": True} if self.exact else {"include_usage": True}
        return {
            "model": plan.model,
            **asked,
            "max_tokens": longest,
            "temperature": plan.temperature,
            "stream": True,
            "stream_options": options,
            **({"ignore_eos": True} if plan.ignore_eos else {}),
        }


def address(base_url: str) -> tuple[str, int]:
    """Host and port to connect to."""
    parts = urlsplit(base_url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _head(plan: LoadPlan) -> str:
    parts = urlsplit(plan.base_url)
    lines = [
        f"POST {parts.path.rstrip('/')}{PATHS[plan.endpoint]} HTTP/1.1",
        f"Host: {parts.netloc}",
        "User-Agent: slipway",
        "Accept: text/event-stream",
        "Accept-Encoding: identity",
        "Content-Type: application/json",
    ]
    if plan.api_key_env:
        lines.append(f"Authorization: Bearer {_key(plan.api_key_env)}")
    return "\r\n".join(lines) + "\r\n"


def _key(variable: str) -> str:
    key = os.environ.get(variable, "")
    if not key or not key.isprintable():
        raise LoadTestFailed(f"{variable} holds no API key", hint="set it in the load generator's environment")
    return key
