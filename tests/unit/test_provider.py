"""What Slipway announces is what Airflow's own schema asks for."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import jsonschema
import pytest

from slipway.hooks import settings
from slipway.provider import get_provider_info


def test_the_description_fits_airflows_schema() -> None:
    airflow = find_spec("airflow")
    assert airflow
    schema = json.loads(Path(str(airflow.origin)).with_name("provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)


def test_the_store_url_is_sensitive() -> None:
    assert get_provider_info()["config"]["slipway"]["options"]["store_url"]["sensitive"] is True


@pytest.mark.parametrize("name", get_provider_info()["config"]["slipway"]["options"])
def test_each_option_has_its_reader(name: str) -> None:
    assert callable(getattr(settings, name))
