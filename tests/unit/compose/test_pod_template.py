"""The pod template against the Kubernetes client's own models, Airflow's executor, and docker-compose.yaml."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

FILE = Path(__file__).parents[3] / "deploy" / "kubernetes" / "pod-template.yaml"


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return content


def unknown(value: Any, kind: str, place: str = "pod") -> Iterator[str]:
    """Keys that the client's model of this kind does not have."""
    from kubernetes.client import models

    if inner := re.fullmatch(r"list\[(.+)\]", kind):
        for number, each in enumerate(value):
            yield from unknown(each, inner[1], f"{place}.{number}")
    elif hasattr(models, kind):
        known = {
            key: model.openapi_types[name]
            for model in [getattr(models, kind)]
            for name, key in model.attribute_map.items()
        }
        for key, each in value.items():
            if key in known:
                yield from unknown(each, known[key], f"{place}.{key}")
            else:
                yield f"{place}.{key}"


def test_kubernetes_knows_every_key(template: dict[str, Any]) -> None:
    assert list(unknown(template, "V1Pod")) == []


def test_a_wrong_key_would_be_found(template: dict[str, Any]) -> None:
    wrong = {**template, "spec": {**template["spec"], "restartPolice": "Never"}}
    assert list(unknown(wrong, "V1Pod")) == ["pod.spec.restartPolice"]


def test_the_executor_reads_it_and_finds_its_container(template: dict[str, Any]) -> None:
    from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator

    pod = PodGenerator.deserialize_model_file(str(FILE))
    assert [container.name for container in pod.spec.containers] == ["base"]
    assert pod.spec.security_context.run_as_non_root is True


def test_it_is_the_container_of_compose(compose: Any, template: dict[str, Any]) -> None:
    """The same image and user, the same folders at the same places, read-only where they are so there."""
    (container,) = template["spec"]["containers"]
    service = compose.services["scheduler"]
    assert container["image"] == service["image"]
    mounts = {mount["mountPath"]: mount.get("readOnly", False) for mount in container["volumeMounts"]}
    assert mounts == {
        target: mode == ["ro"] for _, target, *mode in (volume.split(":") for volume in service["volumes"])
    }
    volumes = {volume["name"] for volume in template["spec"]["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
