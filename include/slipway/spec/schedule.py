"""When something runs by itself: cron and a time zone, checked as Airflow itself reads them."""

from __future__ import annotations

from typing import Annotated

import pendulum
from croniter import croniter
from pydantic import AfterValidator


def _cron(value: str) -> str:
    if len(value.split()) != 5 or not croniter.is_valid(value):
        raise ValueError(f"{value!r} is not cron's five fields: minute hour day month weekday")
    return value


def _zone(value: str) -> str:
    if value not in pendulum.timezones():
        raise ValueError(f"{value!r} is no time zone: give an IANA name, as Europe/Berlin")
    return value


Cron = Annotated[str, AfterValidator(_cron)]
Zone = Annotated[str, AfterValidator(_zone)]
