"""Requests of the OpenAI API, as the probe on a host sends them."""

from __future__ import annotations

from slipway.spec import DeploymentSpec
from slipway.spec.serving import KEY_VARIABLE

Request = dict[str, object]


def health(spec: DeploymentSpec) -> Request:
    return _get(spec, "/health")


def models(spec: DeploymentSpec) -> Request:
    return {**_get(spec, "/v1/models"), **_key(spec)}


def metrics(spec: DeploymentSpec) -> Request:
    """Prometheus text of vLLM's own counters."""
    return _get(spec, "/metrics")


def completion(spec: DeploymentSpec, prompt: str, *, max_tokens: int) -> Request:
    body = {"prompt": prompt, "max_tokens": max_tokens, "temperature": spec.smoke.temperature}
    return _post(spec, "/v1/completions", body)


def chat(spec: DeploymentSpec, message: str, *, max_tokens: int, stream: bool = False) -> Request:
    body: dict[str, object] = {
        "messages": [{"role": "user", "content": message}],
        "max_completion_tokens": max_tokens,
        "temperature": spec.smoke.temperature,
    }
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return {**_post(spec, "/v1/chat/completions", body), "stream": stream}


def _get(spec: DeploymentSpec, path: str) -> Request:
    return {"method": "GET", "url": f"{spec.endpoint}{path}", "timeout_s": 10}


def _post(spec: DeploymentSpec, path: str, body: dict[str, object]) -> Request:
    named = {"model": spec.serve.model_name, **body}
    asked = {"method": "POST", "url": f"{spec.endpoint}{path}", "json": named, "timeout_s": spec.smoke.timeout_s}
    return {**asked, **_key(spec)}


def _key(spec: DeploymentSpec) -> Request:
    """Where the head finds the server's key, which no request of ours holds. vLLM asks for it below /v1 alone."""
    return {"bearer": {"env_file": spec.key_file, "name": KEY_VARIABLE}} if spec.key_file else {}
