"""What pydantic found wrong, in words for the person who wrote the file."""

from __future__ import annotations

import difflib
import typing
from typing import Any

from pydantic import BaseModel, ValidationError


def explain(error: ValidationError, model: type[BaseModel], origin: str) -> str:
    """One line a fault: where, what, and the nearest known key for an unknown one."""
    return "\n".join(f"{origin}: {_fault(fault, model)}" for fault in error.errors())


def _fault(fault: Any, model: type[BaseModel]) -> str:
    where = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        known = sorted(_fields_at(model, fault["loc"][:-1]))
        near = difflib.get_close_matches(str(fault["loc"][-1]), known, n=1, cutoff=0.5)
        return f"{where}: unknown key" + (f", did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}")
    message = fault["msg"].removeprefix("Value error, ")
    given = fault.get("input")
    shown = f" (given: {given!r})" if isinstance(given, str | int | float | bool) else ""
    return f"{where}: {message}{shown}" if where else f"{message}{shown}"


def _fields_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> set[str]:
    """Names of the fields at a place in the model, found by following the types along ``loc``."""
    current = model
    for part in loc:
        if isinstance(part, int) or part not in current.model_fields:
            continue
        inner = models_in(current.model_fields[part].annotation)
        if not inner:
            return set()
        current = inner[0]
    return set(current.model_fields)


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models that a field's type holds: itself, or inside a list, a union or a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for argument in typing.get_args(annotation) for found in models_in(argument)]
