"""Whether staging is worth it: what a load from the source and one from the disk would take, by what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from slipway.facts.weights import Speeds

WORTH = 1.1
"""The source must be slower than the disk by this factor: a copy that gains less is not made."""


@dataclass(frozen=True)
class Prediction:
    """Seconds on one host: to stage the model, to load it from the disk, to load it from the source."""

    stage_s: float
    load_disk_s: float
    load_source_s: float


@dataclass(frozen=True)
class Choice:
    """``stage`` or not, the reason in words, and the prediction of each host."""

    stage: bool
    reason: str
    predictions: Mapping[str, Prediction]

    @property
    def detail(self) -> dict[str, Any]:
        hosts = {host: asdict(prediction) for host, prediction in self.predictions.items()}
        return {"stage": self.stage, "reason": self.reason, "predicted": hosts}


def choose(size: int, seen: Mapping[str, Speeds], short: Mapping[str, int]) -> Choice:
    """The choice for all hosts, since vLLM reads one path on each: the slowest host of each kind decides.

    ``size`` is that of the model in bytes; ``short`` are hosts whose disk cannot hold it, and what they have free.
    """
    predictions = {host: found for host, speeds in seen.items() if (found := predict(size, speeds))}
    if short:
        return Choice(False, f"{', '.join(short)}: the disk has no room for it", predictions)
    if len(predictions) < len(seen):
        return Choice(True, "too small to measure", predictions)
    source = max(prediction.load_source_s for prediction in predictions.values())
    disk = max(prediction.load_disk_s for prediction in predictions.values())
    told = f"a load would take {source:.1f} s from the source, {disk:.1f} s from the disk"
    return Choice(source > WORTH * disk, told, predictions)


def predict(size: int, speeds: Speeds) -> Prediction | None:
    """None where one of the speeds is not known."""
    if not (speeds.source and speeds.disk_written and speeds.disk_read):
        return None
    slower = min(speeds.source, speeds.disk_written)
    return Prediction(size / slower, size / speeds.disk_read, size / speeds.source)
