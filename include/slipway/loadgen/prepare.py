"""Make a cell's folder ready: the plan, read from standard input, and prompts that no cell had before.

Run as ``python -m slipway.loadgen.prepare < plan.json``. Prompts that the plan names are left as they are.
"""

from __future__ import annotations

import os
import random
import secrets
import sys
from dataclasses import replace
from pathlib import Path

from slipway.errors import SlipwayError
from slipway.loadgen.dataset import load_dataset
from slipway.loadgen.prompts import Prompt, count_prompts, make_prompts, save_prompts
from slipway.loadgen.trace import load_trace, played, traced_prompts
from slipway.results.plan import PLAN_FILE, LoadPlan, parse_load_plan

MOST_PROMPTS = 512
MOST_TOKENS = 1 << 20
"""All prompts of a cell together are at most this many tokens where that leaves 16 of them; used ones are varied."""


def prepare(plan: LoadPlan) -> None:
    """Raises LoadTestFailed where prompts cannot be made. The window ends with a trace, if that is shorter."""
    folder = Path(plan.folder)
    folder.mkdir(parents=True, exist_ok=True)
    entries = played(load_trace(plan.trace), plan) if plan.trace else []
    if entries:
        plan = replace(plan, seconds=min(plan.seconds, entries[-1].due_s - plan.warmup_s))
    (folder / PLAN_FILE).write_text(plan.to_json(), encoding="utf-8")
    if plan.prompts_file is None:
        seed = secrets.randbits(32) if plan.seed is None else plan.seed
        if entries:
            prompts = traced_prompts(plan, entries, seed, api_key=_key(plan), ca_file=plan.ca_file)
        else:
            prompts = _chosen(plan, seed) if plan.dataset else _made(plan, seed)
        save_prompts(plan.prompts_path, prompts)
        mean = sum(prompt.tokens for prompt in prompts) / len(prompts)
        print(f"{len(prompts)} prompts of {mean:.0f} tokens, seed {seed}", file=sys.stderr)  # noqa: T201


def _made(plan: LoadPlan, seed: int) -> list[Prompt]:
    count = max(16, min(MOST_PROMPTS, MOST_TOKENS // plan.prompt_tokens))
    asked = (plan.base_url, plan.model, plan.prompt_tokens, count, seed, plan.endpoint)
    return make_prompts(*asked, api_key=_key(plan), ca_file=plan.ca_file, shared=plan.shared_prefix_tokens)


def _chosen(plan: LoadPlan, seed: int) -> list[Prompt]:
    texts = load_dataset(Path(plan.dataset or ""))
    random.Random(seed).shuffle(texts)  # noqa: S311 - draws prompts, keeps no secret
    return count_prompts(
        plan.base_url, plan.model, texts[:MOST_PROMPTS], plan.endpoint, api_key=_key(plan), ca_file=plan.ca_file
    )


def _key(plan: LoadPlan) -> str | None:
    return os.environ.get(plan.api_key_env) if plan.api_key_env else None


def main() -> int:
    try:
        prepare(parse_load_plan(sys.stdin.buffer.read()))
    except SlipwayError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
