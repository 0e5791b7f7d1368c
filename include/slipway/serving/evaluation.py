"""Has lm-eval ask a served model its tasks; run by the serving environment's Python, on the head.

    python evaluation.py  < {"model": "name", "url": "http://…/v1/completions", "tokenizer": "/…", "tasks": ["…"],
                             "folder": null, "shots": null, "limit": null, "at_once": 4, "timeout_s": 120,
                             "answer": "/…/lm-eval.json"}

The server's API key, where it has one, is the variable ``VLLM_API_KEY``. The figures of each task go to the file
``answer``: ``{"version": "0.4.13", "results": {"task": {"acc,none": 0.75, …}}, "questions": {"task": 50}}``.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import metadata
from pathlib import Path
from typing import Any


def evaluate(asked: dict[str, Any]) -> dict[str, Any]:
    """Ask everything. Raises what lm-eval raises: for a task that is not known, a data set that is not there."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    found = lm_eval.simple_evaluate(
        model="local-completions",
        model_args={
            "model": asked["model"],
            "base_url": asked["url"],
            "tokenizer": asked["tokenizer"],
            "tokenizer_backend": "huggingface",
            "num_concurrent": asked["at_once"],
            "timeout": asked["timeout_s"],
        },
        tasks=asked["tasks"],
        task_manager=TaskManager(include_path=asked["folder"]),
        num_fewshot=asked["shots"],
        limit=asked["limit"],
        log_samples=False,
        bootstrap_iters=0,
    )
    counted = {task: count["effective"] for task, count in found["n-samples"].items()}
    return {"version": metadata.version("lm_eval"), "results": found["results"], "questions": counted}


def main() -> None:
    asked = json.load(sys.stdin)
    if key := os.environ.get("VLLM_API_KEY"):
        os.environ["OPENAI_API_KEY"] = key
    answer = Path(asked["answer"])
    answer.unlink(missing_ok=True)
    told = json.dumps(evaluate(asked), default=str)
    answer.parent.mkdir(parents=True, exist_ok=True)
    answer.write_text(told, encoding="utf-8")


if __name__ == "__main__":
    main()
