"""What the parts of the deployment file are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Port = Annotated[int, Field(ge=1024, le=65535)]
EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$")]
ArgumentName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9.-]*$")]
Argument = bool | int | float | str | list[str] | dict[str, object]
Seconds = Annotated[int, Field(ge=1, le=7 * 86400)]


class Part(BaseModel):
    """A part of the file: unknown keys are errors, and nothing can be changed after it was read."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)
