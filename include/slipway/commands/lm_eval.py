"""lm-eval: what ``serving/evaluation.py`` is asked on the head, as a job of the agent."""

from __future__ import annotations

import json

from slipway.commands import python_env
from slipway.commands.agent import Role
from slipway.spec import DeploymentSpec, Layout
from slipway.spec.judging import LmEvalSpec

QUIET = {"CUDA_VISIBLE_DEVICES": "", "TOKENIZERS_PARALLELISM": "false", "TQDM_DISABLE": "1"}
"""It asks over HTTP, and stays away from the GPUs."""


def role_name(spec: DeploymentSpec) -> str:
    return f"{spec.name}.lm-eval"


def role(spec: DeploymentSpec, gate: LmEvalSpec, interpreter: str, tokenizer: str) -> Role:
    """The job. ``tokenizer`` is the model's folder on the head."""
    asked = {
        "model": spec.serve.model_name,
        "url": f"{spec.endpoint}/v1/completions",
        "tokenizer": tokenizer,
        "tasks": list(gate.tasks),
        "folder": gate.folder,
        "shots": gate.shots,
        "limit": gate.limit,
        "at_once": gate.at_once,
        "timeout_s": spec.smoke.timeout_s,
        "answer": answer_file(spec),
    }
    variables = {**spec.env_of(spec.head), **QUIET}
    program = python_env.program(
        interpreter, "evaluation", stdin=json.dumps(asked).encode(), env=variables, timeout_s=0
    )
    labels = {"deployment": spec.name}
    return Role(role_name(spec), steps=(program,), again=True, env_file=spec.key_file, labels=labels)


def answer_file(spec: DeploymentSpec) -> str:
    return f"{Layout(spec.root).deployment(spec.name)}/lm-eval.json"
