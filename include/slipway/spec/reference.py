"""The deployment file's reference page, made from the types' own docstrings."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from slipway.spec.explain import models_in
from slipway.spec.types import DeploymentSpec

HEADING = """# The deployment file

One YAML file a deployment, in `include/deployments/`. Its name is the deployment's name. Unknown keys are errors.
`slipway check FILE` says what is wrong with a file, `slipway plan FILE` what it would run, and `slipway schema` prints
a JSON schema for editors. This page is made from the types in `slipway.spec.types` by `make docs`.
"""


def reference() -> str:
    """The page as Markdown: a section a part of the file, a row a field."""
    sections = [_section(title, model) for title, model in _parts(DeploymentSpec, "The file")]
    return "\n".join([HEADING, *sections])


def _parts(model: type[BaseModel], title: str) -> Iterator[tuple[str, type[BaseModel]]]:
    """A model and those inside it, in the order of the file, each under the key where it stands."""
    yield title, model
    for name, field in model.model_fields.items():
        prefix = "" if model is DeploymentSpec else f"{title.strip('`')}."
        for inner in models_in(field.annotation):
            yield from _parts(inner, f"`{prefix}{name}`")


def _section(title: str, model: type[BaseModel]) -> str:
    rows = [_row(name, field) for name, field in model.model_fields.items()]
    doc = " ".join((model.__doc__ or "").split())
    table = "\n".join(["| key | type | default | meaning |", "|---|---|---|---|", *rows])
    return f"## {title}\n\n{doc}\n\n{table}\n"


def _row(name: str, field: FieldInfo) -> str:
    meaning = " ".join((field.description or "").split()).replace("|", "\\|")
    return f"| `{name}` | {_type_words(field)} | {_default_words(field)} | {meaning} |"


def _default_words(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    if isinstance(default, BaseModel):
        return "as below"
    shown = {None: "none", "": "empty", (): "empty"}.get(default) if not isinstance(default, dict) else "empty"
    return shown or f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _type_words(field: FieldInfo) -> str:
    limits = [_limit_words(limit) for limit in field.metadata]
    return ", ".join([_words(field.annotation), *(limit for limit in limits if limit)])


def _limit_words(limit: Any) -> str:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    found = [f"{sign} {getattr(limit, name)}" for name, sign in signs.items() if getattr(limit, name, None) is not None]
    if getattr(limit, "pattern", None):
        found.append(f"matches `{limit.pattern}`")
    return ", ".join(found)


def _words(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return ", ".join([_words(arguments[0]), *filter(None, map(_limit_words, arguments[1:]))])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(dict.fromkeys(_words(each) for each in arguments if each is not type(None)))
    if origin in (tuple, list):
        return f"list of {_words(arguments[0])}"
    if origin is dict:
        return f"mapping of {_words(arguments[1])}"
    return _NAMES.get(annotation, "object")


_NAMES = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`"}
