"""Slipway's own figures among Airflow's metrics: StatsD or OpenTelemetry, whichever ``[metrics]`` turns on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slipway.results import Measurement


@contextmanager
def timed(deployment: str, stage: str) -> Iterator[None]:
    """Send how long a try of a stage took, ``slipway.stage.duration``, and that it failed, ``slipway.stage.failed``."""
    from airflow.sdk.observability.stats import incr, timing

    began, tags = monotonic(), {"deployment": deployment, "stage": stage}
    try:
        yield
    except Exception:
        incr("slipway.stage.failed", tags=tags)
        raise
    finally:
        timing("slipway.stage.duration", timedelta(seconds=monotonic() - began), tags=tags)


def send_cell(deployment: str, cell: Measurement) -> None:
    """Send what a load level gave, as gauges ``slipway.cell.*`` with the load as a tag."""
    from airflow.sdk.observability.stats import gauge

    tags = {"deployment": deployment, "load": cell.load.replace(" ", "_")}
    gauge("slipway.cell.output_tokens_per_s", cell.output_tokens_per_s, tags=tags)
    gauge("slipway.cell.requests_per_s", cell.requests_per_s, tags=tags)
    for name, distribution in (("ttft", cell.ttft), ("tpot", cell.tpot), ("e2e", cell.e2e)):
        if distribution:
            gauge(f"slipway.cell.{name}_p99_s", distribution.p99, tags=tags)
