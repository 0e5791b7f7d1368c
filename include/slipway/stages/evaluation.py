"""The gate of lm-eval, a part of the stage *smoke*: the server's scores in the tasks that the file names."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from slipway.commands import agent, kit, lm_eval, openai, python_env
from slipway.errors import NotReady, StageError
from slipway.facts.files import text_of
from slipway.facts.vllm import answers
from slipway.spec import DeploymentSpec
from slipway.spec.judging import LmEvalSpec
from slipway.stages.job import finish
from slipway.stages.site import Site, act, starting
from slipway.stages.smoke import SmokeResult, told

HINT = "mend what its last lines name: a task or a package that is not there, a data set out of the head's reach"


def converge(site: Site, gate: LmEvalSpec) -> SmokeResult:
    """Run the tasks on the head against its server. Raises StageError where lm-eval fails, NotReady where it takes
    longer than ``timeout_s``: it is stopped then."""
    began = time.monotonic()
    job = lm_eval.role(site.spec, gate, python_env.python(site.spec, site.lock), _served_folder(site))
    act(site, [[starting(site.head.name, site.root, job, f"ask lm-eval's tasks: {', '.join(gate.tasks)}")]])
    try:
        finish(site.head, site.root, job.name, gate.timeout_s, say=site.say, hint=HINT)
    except NotReady as error:
        kit.reply(site.head.run(agent.stop(site.root, job.name)))
        message = f"[{site.head.name}] lm-eval was not through within {gate.timeout_s} s, and was stopped"
        raise NotReady(message, hint="set verdict.lm_eval.limit, or a longer timeout_s") from error
    result = marked(gate, _answer(site), time.monotonic() - began)
    site.say(told(result))
    return result


def marked(gate: LmEvalSpec, answer: Mapping[str, Any], seconds: float) -> SmokeResult:
    """The scores, held against the floor. Raises StageError for a metric that a task does not have. Pure."""
    scores = {task: _score(gate.metric, task, answer["results"].get(task, {})) for task in gate.tasks}
    said = ", ".join(f"{task} {score:.3f} of {answer['questions'].get(task, '?')}" for task, score in scores.items())
    detail = f"{gate.metric}: {said}; {gate.floor:g} is wanted (lm-eval {answer['version']})"
    return SmokeResult("lm_eval", min(scores.values()) >= gate.floor, detail, seconds, {"answer": dict(answer)})


def _score(metric: str, task: str, figures: Mapping[str, Any]) -> float:
    """``acc`` means ``acc,none``, or the only filter that there is; ``exact_match,strict-match`` is taken as it is."""
    numbers = {name: float(value) for name, value in figures.items() if isinstance(value, int | float)}
    fitting = [name for name in numbers if metric in (name, name.partition(",")[0])]
    named = next((name for name in (metric, f"{metric},none") if name in numbers), None)
    if named is None and len(fitting) != 1:
        known = ", ".join(name for name in numbers if "," in name and "_stderr" not in name) or "none"
        raise StageError(f"verdict.lm_eval.metric: {task} has no single {metric!r}", hint=f"its metrics: {known}")
    return numbers[named or fitting[0]]


def _answer(site: Site) -> Mapping[str, Any]:
    answer: dict[str, Any] = json.loads(text_of(site.head, site.root, lm_eval.answer_file(site.spec), 1 << 20))
    return answer


def _served_folder(site: Site) -> str:
    """The folder of the weights, as the server itself tells it: the tokenizer lies there."""
    [answer] = answers(site.head, site.spec, [openai.models(site.spec)])
    return served_folder(site.spec, answer)


def served_folder(spec: DeploymentSpec, answer: Mapping[str, Any]) -> str:
    """From the server's list of models. Pure; raises StageError where it does not tell."""
    try:
        models = json.loads(answer["body"])["data"]
        return next(str(model["root"]) for model in models if model["id"] == spec.serve.model_name)
    except (KeyError, ValueError, TypeError, StopIteration) as error:
        raise StageError("/v1/models does not tell the model's folder", hint="look at the server's log") from error
