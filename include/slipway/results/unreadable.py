"""A file of another tool that is not what it should be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from slipway.errors import SpecError


@contextmanager
def reading(what: str, hint: str) -> Iterator[None]:
    """Raises SpecError where what is read within has other fields than ``what``; ``hint`` says which file to give."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SpecError(f"not a {what}: {error!r}", hint=hint) from error
