from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import yaml

from slipway.cli.files import DEPLOYMENT_PAGE
from slipway.spec import DeploymentSpec
from slipway.spec.explain import models_in
from slipway.spec.reference import reference

ROOT = Path(__file__).parents[3]


def test_the_page_in_docs_is_the_one_that_the_types_give():
    assert (ROOT / "docs" / DEPLOYMENT_PAGE).read_text() == reference(), "run `make docs`"


def test_every_field_has_its_words():
    pending = [DeploymentSpec]
    while pending:
        model = pending.pop()
        assert model.__doc__, model
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"
            assert f"| `{name}` |" in reference()
            pending += models_in(field.annotation)


def test_the_schema_takes_the_shipped_files():
    schema = json.loads(json.dumps(DeploymentSpec.model_json_schema()))
    for path in (ROOT / "include" / "deployments").glob("*.yaml"):
        jsonschema.validate(yaml.safe_load(path.read_text()), schema)
