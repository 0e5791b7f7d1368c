"""The locked serving environments: requirement files, and what the vLLM that they pin takes as arguments."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from slipway.errors import SpecError
from slipway.spec.part import Argument
from slipway.spec.types import DeploymentSpec

VLLM_PIN = re.compile(r"^vllm(?:-cpu)?==([^\s;\\]+)", re.MULTILINE)

LM_EVAL_PIN = re.compile(r"^lm[-_]eval(?:\[[a-z,]+\])?==", re.MULTILINE)


def environments_folder(deployments: Path) -> Path:
    """Lock files lie beside the deployment files."""
    return deployments.parent / "environments"


def load_lock(folder: Path, spec: DeploymentSpec) -> str:
    """The text of the deployment's lock file; empty where it serves with an existing environment."""
    if spec.environment.lock is None:
        return ""
    path = folder / f"{spec.environment.lock}.txt"
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        known = ", ".join(sorted(each.stem for each in folder.glob("*.txt"))) or "none"
        raise SpecError(f"environment.lock: there is no {path}", hint=f"lock files there: {known}") from error


def argument_faults(folder: Path, spec: DeploymentSpec, lock: str) -> Iterator[str]:
    """What the pinned vLLM would say against ``serve.args``, from the table of its own parser's arguments.

    Says nothing where the table is missing: then the parser itself is asked on the host, before anything starts.
    """
    pin = VLLM_PIN.search(lock)
    table = _load_json(folder / f"vllm-{pin[1]}.arguments.json") if pin else None
    if pin is None or table is None:
        return
    gone = _load_json(folder / "vllm-arguments-gone.json") or {}
    for name, value in spec.serve.args.items():
        if name not in table:
            yield f"serve.args.{name}: vLLM {pin[1]} has no --{name}{_instead(name, table, gone)}"
        elif fault := _value_fault(table[name], value):
            yield f"serve.args.{name}: {fault}"


def lm_eval_faults(spec: DeploymentSpec, lock: str) -> Iterator[str]:
    """What is missing for the gate of lm-eval; an existing environment is asked on the host, before anything starts."""
    if spec.verdict.lm_eval and lock and not LM_EVAL_PIN.search(lock):
        yield f"verdict.lm_eval: environment.lock: {spec.environment.lock}.txt pins no lm-eval; add lm-eval[api] to it"


def _instead(name: str, table: Mapping[str, Any], gone: Mapping[str, str]) -> str:
    if name in gone:
        return f": {gone[name]}"
    near = difflib.get_close_matches(name, table, n=1)
    return f", did you mean --{near[0]}?" if near else ""


def _value_fault(argument: Mapping[str, Any], value: Argument) -> str | None:
    if isinstance(value, bool):
        form = "switch" if value else "no"
        return None if argument.get(form) else f"takes no bare {str(value).lower()}"
    choices = [str(choice) for choice in argument.get("choices", ())]
    values = value if isinstance(value, list) else [value]
    wrong = [each for each in values if choices and str(each) not in choices]
    return f"{wrong[0]!r} is none of {', '.join(choices)}" if wrong else None


def _load_json(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return data
