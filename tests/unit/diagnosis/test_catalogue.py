from __future__ import annotations

import string
from typing import Any

import pytest
from pydantic import BaseModel

from slipway.diagnosis import Kind, Source, catalogue, diagnose
from slipway.spec import DeploymentSpec

FREE = ("args", "env")
"""Tables of the deployment file whose keys are vLLM's and the environment's."""


def model_of(annotation: Any) -> type[BaseModel] | None:
    for part in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None


def known(key: str) -> bool:
    place: type[BaseModel] | None = DeploymentSpec
    for name in key.split("."):
        if place is None or name not in place.model_fields:
            return False
        if name in FREE:
            return True
        place = model_of(place.model_fields[name].annotation)
    return True


def test_there_are_forty_at_least_and_each_has_a_name_of_its_own():
    names = [signature.id for signature in catalogue()]
    assert len(names) == len(set(names)) >= 40


@pytest.mark.parametrize("signature", catalogue(), ids=lambda signature: signature.id)
def test_a_signature_is_whole(signature):
    assert signature.programs <= {"vllm", "ray", "kernel"}
    assert signature.rank in (1, 2, 3)
    assert signature.kind in Kind
    assert signature.cause
    assert signature.advice
    assert signature.phase
    assert not signature.pattern.search("")
    named = {field for _, field, _, _ in string.Formatter().parse(signature.cause) if field}
    assert named <= set(signature.pattern.groupindex), "the cause names what the pattern does not catch"


@pytest.mark.parametrize("key", sorted({signature.key for signature in catalogue() if signature.key}))
def test_the_key_to_change_is_a_key_of_the_deployment_file(key):
    assert known(key)


@pytest.mark.parametrize("signature", [each for each in catalogue() if each.sample], ids=lambda each: each.id)
def test_what_others_reported_is_found(signature):
    program = "vllm" if "vllm" in signature.programs else min(signature.programs)
    found = diagnose([Source("one", program, "x.log", f"before\n{signature.sample}\nafter")])
    assert found is not None
    assert found.id == signature.id
