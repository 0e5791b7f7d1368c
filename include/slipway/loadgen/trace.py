"""Replay of a trace: a file of requests with their times and lengths, as Mooncake and BurstGPT publish them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from slipway.errors import LoadTestFailed
from slipway.loadgen.prompts import Prompt, count_prompts, fit_prompts
from slipway.results.plan import LoadPlan, Trace

UNITS_S = {"ms": 0.001, "s": 1.0}
MOST_TOKENS = 1 << 24
"""All prompts of a replay together are at most this many tokens: each is made by the server's tokenizer."""

INPUTS = ("input_length", "input_tokens", "request_tokens")
OUTPUTS = ("output_length", "output_tokens", "response_tokens")
TEXTS = ("text", "text_input", "prompt")
"""What the fields are called, in any case of letters, with ``_`` or a space."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One request: ``due_s`` after the first, with a prompt of ``input_tokens`` or of this ``text``."""

    due_s: float
    input_tokens: int
    output_tokens: int
    text: str = ""


def load_trace(trace: Trace) -> list[Entry]:
    """The requests of a file of JSON lines by their time, which begins at 0. Raises LoadTestFailed, with the line."""
    path = Path(trace.file)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        hint = "the path is that of the machine which makes the load"
        raise LoadTestFailed(f"cannot read the trace {path}: {error.strerror}", hint=hint) from error
    scale = UNITS_S[trace.unit] / trace.speed
    found = [_parse(path, number, line, scale) for number, line in enumerate(lines, start=1) if line.strip()]
    if not found:
        raise LoadTestFailed(f"{path} holds no request", hint="give a file with at least one line")
    found.sort(key=lambda entry: entry.due_s)
    first_s = found[0].due_s
    return [replace(entry, due_s=entry.due_s - first_s) for entry in found]


def played(entries: Sequence[Entry], plan: LoadPlan) -> list[Entry]:
    """Those that are due in the warm-up and the window. Raises LoadTestFailed where there is nothing to measure."""
    found = [entry for entry in entries if entry.due_s <= plan.warmup_s + plan.seconds]
    if found[-1].due_s <= plan.warmup_s:
        message = (
            f"the trace lasts {entries[-1].due_s:g} s, and nothing of it is due after a warm-up of {plan.warmup_s:g} s"
        )
        raise LoadTestFailed(message, hint="a shorter warmup_s, a lower speed, or the right unit")
    tokens = sum(entry.input_tokens for entry in found if not entry.text)
    if tokens > MOST_TOKENS:
        message = (
            f"the prompts of this trace have {tokens} tokens, more than the {MOST_TOKENS} that are made for a cell"
        )
        raise LoadTestFailed(message, hint="replay fewer seconds of it")
    return found


def traced_prompts(
    plan: LoadPlan, entries: Sequence[Entry], seed: int, *, api_key: str | None, ca_file: str | None
) -> list[Prompt]:
    """A prompt for each request: its own text, else random words of its length. Raises LoadTestFailed."""
    server = plan.base_url, plan.model
    told = [entry.text for entry in entries if entry.text]
    lengths = [entry.input_tokens for entry in entries if not entry.text]
    texts = iter(count_prompts(*server, told, plan.endpoint, api_key=api_key, ca_file=ca_file))
    made = iter(fit_prompts(*server, lengths, seed, plan.endpoint, api_key=api_key, ca_file=ca_file))
    return [
        replace(next(texts if entry.text else made), due_s=entry.due_s, output_tokens=entry.output_tokens)
        for entry in entries
    ]


def _parse(path: Path, number: int, line: str, scale: float) -> Entry:
    try:
        read = {name.lower().replace(" ", "_"): value for name, value in json.loads(line).items()}
        text = str(_first(read, TEXTS) or "")
        inputs = 0 if text else int(_first(read, INPUTS))
        outputs = int(_first(read, OUTPUTS))
        entry = Entry(float(read["timestamp"]) * scale, inputs, max(1, outputs), text)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        hint = 'each line is {"timestamp": 0, "input_length": 32, "output_length": 64}, or has a "text" of its own'
        raise LoadTestFailed(f"{path}, line {number}: {error!r}", hint=hint) from error
    if not text and inputs < 1:
        raise LoadTestFailed(f"{path}, line {number}: a prompt of {inputs} tokens", hint="leave the line out")
    return entry


def _first(read: dict[str, Any], names: Sequence[str]) -> Any:
    """The field that goes by one of these names; None where there is none."""
    return next((read[name] for name in names if name in read), None)
