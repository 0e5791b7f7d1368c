"""Stage *ready*: the server has answered a real completion. /health alone stays 200 without an engine."""

from __future__ import annotations

import time

from slipway.commands import openai, vllm
from slipway.errors import NotReady
from slipway.facts.role import role
from slipway.facts.vllm import answers
from slipway.stages import ray_cluster, serve
from slipway.stages.job import stream_log
from slipway.stages.site import Outcome, Site

LOOK_EVERY_S = 2.0


def converge(site: Site) -> Outcome:
    """Wait for the first completion.

    Raises ServerDied at once when a part of the server or of its Ray cluster ends, without which it would wait in vain;
    NotReady when time is spent.
    """
    name = vllm.role_name(site.spec)
    deadline = time.monotonic() + site.spec.serve.ready_timeout_s
    offset = 0
    while True:
        state = role(site.head, site.root, name)
        offset = stream_log(site.head, site.root, name, offset, site.say)
        serve.require_alive(site)
        if state.ready_at and state.started_at and _completes(site):
            seconds = state.ready_at - state.started_at
            site.say(f"ready: a completion was answered; the server took {seconds:.1f} s to start")
            return Outcome(0, {"time_to_ready_s": round(seconds, 3), "restarts": len(state.restarts)})
        ray_cluster.require_alive(site)
        if time.monotonic() > deadline:
            hint = "see its log above; raise serve.ready_timeout_s if it still loads"
            raise NotReady(f"[{site.head.name}] no completion within {site.spec.serve.ready_timeout_s} s", hint=hint)
        time.sleep(LOOK_EVERY_S)


def _completes(site: Site) -> bool:
    [answer] = answers(site.head, site.spec, [openai.completion(site.spec, "Hello", max_tokens=1)])
    return answer.get("status") == 200
