"""Whether a revision may stay, by its verdict and the deployment file's own choice."""

from __future__ import annotations

from slipway.spec.judging import RedeploySpec
from slipway.verdicts.judge import Answer


def refusal(verdict: str | None, reason: str, choice: RedeploySpec) -> str:
    """Why the revision must go; empty where it may stay. Pure."""
    said = {Answer.WORSE: choice.on_worse, Answer.INVALID: choice.on_invalid}
    refused = said.get(Answer(verdict)) == "restore" if verdict else False
    return f"the verdict is {verdict}: {reason}" if refused else ""
