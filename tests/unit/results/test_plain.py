from __future__ import annotations

import json
from dataclasses import fields

from slipway.results.goodput import Goodput
from slipway.results.histogram import Histogram
from slipway.results.measurement import Distribution, Measurement, Validity
from slipway.results.plain import data, flat

SPREAD = Distribution(3, 0.2, 0.1, 0.2, 0.3, 0.3, 0.3, 0.3)
CELL = Measurement(
    users=0,
    rate=2.5,
    spawn_rate=1.0,
    processes=1,
    started_at=5.5,
    window_s=2.0,
    requests=3,
    prompt_tokens=6,
    output_tokens=9,
    requests_per_s=1.5,
    output_tokens_per_s=4.5,
    errors={"timeout": 1},
    ttft=SPREAD,
    itl=None,
    tpot=SPREAD,
    e2e=SPREAD,
    validity=Validity.SUSPECT,
    reasons=("a", "b"),
    histograms={"ttft": Histogram(-20, (1, 2))},
    goodput=Goodput({"ttft_s": 0.5}, 2, 0.5, 1.0),
)


def test_every_field_is_there_as_json() -> None:
    plain = data(CELL)
    assert set(plain) == {"load", *(field.name for field in fields(Measurement))}
    assert plain == json.loads(json.dumps(plain))
    assert (plain["load"], plain["validity"], plain["histograms"]) == (
        *("2.5 req/s", "suspect"),
        {"ttft": {"first": -20, "counts": [1, 2]}},
    )


def test_a_table_has_one_value_a_column() -> None:
    row = flat(CELL)
    assert (row["ttft.p50"], row["errors.timeout"], row["goodput.limits.ttft_s"], row["reasons"], row["itl"]) == (
        *(0.2, 1, 0.5, "a; b"),
        None,
    )
    assert not any(name.startswith(("histograms", "series")) for name in row)
