from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from slipway.spec.schedule import Cron, Zone


@pytest.mark.parametrize("value", ["30 2 * * *", "*/15 8-18 * * mon-fri", "0 0 1 1 *"])
def test_a_cron_is_five_fields(value):
    assert TypeAdapter(Cron).validate_python(value) == value


@pytest.mark.parametrize("value", ["", "@daily", "30 2 * *", "30 2 * * * *", "61 2 * * *", "daily"])
def test_anything_else_is_refused(value):
    with pytest.raises(ValidationError, match="is not cron's five fields"):
        TypeAdapter(Cron).validate_python(value)


def test_a_zone_has_an_iana_name():
    assert TypeAdapter(Zone).validate_python("Europe/Berlin") == "Europe/Berlin"
    with pytest.raises(ValidationError, match="is no time zone"):
        TypeAdapter(Zone).validate_python("Berlin")
