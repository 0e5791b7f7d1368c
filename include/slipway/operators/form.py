"""The trigger form of a DAG, made from the types that check the conf."""

from __future__ import annotations

import functools
from typing import Any

from airflow.sdk import Param

from slipway.spec import DeploymentSpec, Overrides
from slipway.spec.serving import DENIED_ARGUMENTS, OWN_ARGUMENTS
from slipway.spec.sweep import KEY

Schema = dict[str, Any]

ARGUMENTS: Schema = {
    "type": "object",
    "propertyNames": {"pattern": "^[a-z][a-z0-9.-]*$", "not": {"enum": sorted({*OWN_ARGUMENTS, *DENIED_ARGUMENTS})}},
}
"""Of ``serve_args``: the API refuses names that the check of the conf would refuse, at once."""

SWEEP_KEYS: Schema = {"type": "object", "propertyNames": {"pattern": KEY}}

SHAPES: dict[str, Schema] = {
    "serve_args": ARGUMENTS,
    "grid": {**SWEEP_KEYS, "additionalProperties": {"type": "array", "minItems": 1}},
    "points": {"type": "array", "items": SWEEP_KEYS, "maxItems": 256},
}
"""Of fields that hold keys of the file."""


def form(model: type[Overrides], spec: DeploymentSpec) -> dict[str, Param]:
    """One Param a field, with type, bounds and help; prefilled with what the deployment file says."""
    filled = _defaults(spec)
    return {
        name: Param(filled[name], description=help_text, schema=schema)
        for name, (help_text, schema) in _fields(model).items()
    }


def _defaults(spec: DeploymentSpec) -> dict[str, Any]:
    benchmark = spec.benchmark
    return {
        "users": [level.users for level in benchmark.levels if level.users],
        "rates": [level.rate for level in benchmark.levels if level.rate],
        "shapes": [level.shape for level in benchmark.levels if level.shape],
        "seconds": benchmark.seconds,
        "prompt_tokens": benchmark.prompt_tokens,
        "output_tokens": benchmark.output_tokens,
        "serve_args": {},
        "revision": "",
        "reason": "",
        "again": False,
        **(spec.sweep.model_dump(mode="json", include={"grid", "points"}) if spec.sweep else {}),
    }


@functools.cache
def _fields(model: type[Overrides]) -> dict[str, tuple[str, Schema]]:
    """By name: the field's help, and its JSON schema as Airflow's form wants it (a type list, no ``anyOf``)."""
    properties = model.model_json_schema()["properties"]
    return {
        name: (schema.get("description", ""), SHAPES.get(name) or _flat(schema)) for name, schema in properties.items()
    }


def _flat(schema: Schema) -> Schema:
    """``anyOf: [X, null]`` as X alone: the form is prefilled, so nothing is left empty."""
    inner = next((option for option in schema.get("anyOf", ()) if option.get("type") != "null"), schema)
    return {key: value for key, value in inner.items() if key not in ("default", "description", "title", "anyOf")}
