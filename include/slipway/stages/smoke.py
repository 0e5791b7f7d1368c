"""Stage *smoke*: the first questions to a fresh server. Does it answer, and sanely?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slipway.commands import openai
from slipway.errors import SmokeFailed
from slipway.facts.vllm import answers
from slipway.spec import DeploymentSpec
from slipway.stages import accuracy
from slipway.stages.site import Outcome, Site

Answer = Mapping[str, Any]


@dataclass(frozen=True)
class SmokeResult:
    """One check: what was asked and answered is the transcript."""

    name: str
    passed: bool
    detail: str
    seconds: float
    transcript: Mapping[str, Any]


def converge(site: Site) -> Outcome:
    """Ask everything and judge; the outcome holds every result, also of what failed."""
    asked = requests(site.spec)
    given = answers(site.head, site.spec, list(asked.values()))
    results = [judged(site.spec, name, asked[name], answer) for name, answer in zip(asked, given, strict=True)]
    for result in results:
        site.say(told(result))
    if site.spec.verdict.accuracy_floor is None or not all(result.passed for result in results):
        return Outcome(0, {"checks": results})
    gate, score = _accuracy(site, site.spec.verdict.accuracy_floor)
    site.say(told(gate))
    return Outcome(0, {"checks": [*results, gate], "accuracy": score})


def told(result: SmokeResult) -> str:
    return f"{'ok  ' if result.passed else 'FAIL'} {result.name}: {result.detail} ({result.seconds:.2f} s)"


def _accuracy(site: Site, floor: float) -> tuple[SmokeResult, float]:
    """Slipway's own questions, one after the other, as one check; and the share that is answered rightly."""
    asked = [openai.chat(site.spec, known.ask, max_tokens=site.spec.smoke.max_tokens) for known in accuracy.questions()]
    return marked(answers(site.head, site.spec, asked), floor)


def marked(given: Sequence[Answer], floor: float) -> tuple[SmokeResult, float]:
    """The answers to all questions, held against what is known. Pure."""
    said = [_said(answer) for answer in given]
    rows = [
        {"ask": known.ask, "expect": list(known.expect), "said": text, "right": accuracy.right(known, text)}
        for known, text in zip(accuracy.questions(), said, strict=True)
    ]
    right = sum(bool(row["right"]) for row in rows)
    detail = f"{right} of {len(rows)} questions answered rightly, {floor:.0%} are wanted"
    seconds = sum(float(answer.get("seconds", 0.0)) for answer in given)
    return SmokeResult("accuracy", right >= floor * len(rows), detail, seconds, {"answers": rows}), right / len(rows)


def _said(answer: Answer) -> str:
    """What a chat answered; for a refusal what went wrong, which is no right answer."""
    if answer.get("status") != 200:
        return f"(status {answer.get('status')})"
    try:
        return _content(json.loads(answer["body"])["choices"][0]["message"]).strip()
    except (KeyError, IndexError, TypeError, ValueError):
        return "(not the shape of this API)"


def require_passed(results: list[SmokeResult]) -> None:
    """Raises SmokeFailed when a check failed."""
    failed = [result for result in results if not result.passed]
    if failed:
        told = "\n".join(f"  {result.name}: {result.detail}" for result in failed)
        raise SmokeFailed(
            f"the server answers, but not as it must:\n{told}", hint="the transcript is kept with the run"
        )


def requests(spec: DeploymentSpec) -> dict[str, openai.Request]:
    """What is asked, by the name of the check."""
    smoke = spec.smoke
    asked = {
        "models": openai.models(spec),
        "completion": openai.completion(spec, smoke.prompt, max_tokens=smoke.max_tokens),
        "chat": openai.chat(spec, smoke.prompt, max_tokens=smoke.max_tokens),
        "stream": openai.chat(spec, smoke.prompt, max_tokens=smoke.max_tokens, stream=True),
    }
    if smoke.question:
        asked["question"] = openai.chat(spec, smoke.question.ask, max_tokens=smoke.max_tokens)
    return asked


def judged(spec: DeploymentSpec, name: str, request: openai.Request, answer: Answer) -> SmokeResult:
    """One answer held against what its check asks for. Pure."""
    passed, detail = _verdict(spec, name, answer)
    transcript = {"request": request, "answer": {k: v for k, v in answer.items() if k != "seconds"}}
    return SmokeResult(name, passed, detail, float(answer.get("seconds", 0.0)), transcript)


def _verdict(spec: DeploymentSpec, name: str, answer: Answer) -> tuple[bool, str]:
    if answer.get("status") != 200:
        return False, f"status {answer.get('status')}: {str(answer.get('error') or answer.get('body', ''))[:300]}"
    try:
        return _CHECKS[name](spec, answer)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        return False, f"not the shape of this API ({error!r}): {str(answer.get('body', ''))[:300]}"


def _models(spec: DeploymentSpec, answer: Answer) -> tuple[bool, str]:
    names = [model["id"] for model in json.loads(answer["body"])["data"]]
    return spec.serve.model_name in names, f"serves {', '.join(names)}"


def _completion(spec: DeploymentSpec, answer: Answer) -> tuple[bool, str]:
    body = json.loads(answer["body"])
    return _counted(spec, body["choices"][0]["text"], body["usage"])


def _chat(spec: DeploymentSpec, answer: Answer) -> tuple[bool, str]:
    body = json.loads(answer["body"])
    return _counted(spec, _content(body["choices"][0]["message"]), body["usage"])


def _stream(spec: DeploymentSpec, answer: Answer) -> tuple[bool, str]:
    events = [json.loads(event["data"]) for event in answer["events"] if event["data"] != "[DONE]"]
    text = "".join(_content(choice["delta"]) for event in events for choice in event["choices"])
    passed, detail = _counted(spec, text, events[-1]["usage"])
    ended = answer["events"][-1]["data"] == "[DONE]"
    return passed and ended and len(events) > 2, f"{len(events)} events, {detail}"


def _question(spec: DeploymentSpec, answer: Answer) -> tuple[bool, str]:
    text = _content(json.loads(answer["body"])["choices"][0]["message"]).strip()
    expect = spec.smoke.question.expect if spec.smoke.question else ""
    return expect.casefold() in text.casefold(), f"answered {text[:120]!r}, must contain {expect!r}"


def _content(message: Mapping[str, Any]) -> str:
    """What was said: the content, or the reasoning of a model that spent its tokens on it."""
    return message.get("content") or message.get("reasoning") or message.get("reasoning_content") or ""


def _counted(spec: DeploymentSpec, text: str, usage: Mapping[str, int]) -> tuple[bool, str]:
    tokens = usage["completion_tokens"]
    sane = bool(text.strip()) and 0 < tokens <= spec.smoke.max_tokens and usage["prompt_tokens"] > 0
    return sane, f"{tokens} tokens for {usage['prompt_tokens']}, {text.strip()[:60]!r}"


_CHECKS = {"models": _models, "completion": _completion, "chat": _chat, "stream": _stream, "question": _question}
