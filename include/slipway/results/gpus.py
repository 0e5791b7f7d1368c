"""What the GPUs of a deployment did through a cell: their use, memory, clocks, power, and what the tokens cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from slipway.results.series import Series, columns, thinned

GPUS_FILE = "gpus.jsonl"
"""One look at the GPUs of all hosts a line, in the folder of its cell: ``at_s``, ``hosts``."""

Look = Mapping[str, Any]
"""``at_s`` is seconds since the epoch; ``hosts`` holds the answer of the program ``probe gpu_load`` by host."""

MILLION = 1e6


def inside(looks: Sequence[Look], start_s: float, end_s: float) -> list[Look]:
    """Those looks of the window at which a GPU was seen."""
    return [look for look in looks if start_s <= look["at_s"] <= end_s and any(_cards(look))]


def gpu_figures(looks: Sequence[Look], window_s: float) -> dict[str, float]:
    """Over the looks of the window; empty where there is none.

    ``use`` and ``sm_clock_hz`` are means over GPUs and time, ``power_w`` is the mean of all GPUs together and
    ``energy_j`` that times the window. ``slowed_share`` is the part of the looks at a GPU at which heat or the power
    supply slowed it; ``foreign_processes`` the most at one time. What the driver does not tell is left out.
    """
    if not looks:
        return {}
    cards = [card for look in looks for card in _cards(look)]
    powers = [total for look in looks if (total := _total(look, "power_w")) is not None]
    figures = {
        "looks": float(len(looks)),
        "gpus": float(max(len(list(_cards(look))) for look in looks)),
        "slowed_share": sum(card["slowed"] for card in cards) / len(cards),
        "foreign_processes": float(max(_foreign(look) for look in looks)),
    }
    for name, known in (("use", _known(cards, "use")), ("sm_clock_hz", _known(cards, "sm_clock_hz"))):
        if known:
            figures[name] = sum(known) / len(known)
    if memory := _known(cards, "memory_bytes"):
        figures["memory_bytes_max"] = max(memory)
    if powers:
        figures["power_w"] = sum(powers) / len(powers)
        figures["energy_j"] = figures["power_w"] * window_s
    return figures


def gpu_series(looks: Sequence[Look], start_s: float) -> Series:
    """Mean use and total power at each look; a figure that the driver does not tell is 0."""
    rows = [
        {
            "at_s": look["at_s"] - start_s,
            "use": (_total(look, "use") or 0.0) / len(list(_cards(look))),
            "power_w": _total(look, "power_w") or 0.0,
        }
        for look in looks
    ]
    return columns(thinned(rows))


def token_costs(figures: Mapping[str, float], price_per_hour: float | None, tokens_per_s: float) -> dict[str, float]:
    """Joules and money for a million output tokens, as far as they are known. No tokens cost nothing known."""
    if not tokens_per_s:
        return {}
    costs = {}
    if "power_w" in figures:
        costs["energy_j_per_million_tokens"] = figures["power_w"] / tokens_per_s * MILLION
    if price_per_hour:
        costs["cost_per_million_tokens"] = price_per_hour / 3600 / tokens_per_s * MILLION
    return costs


def _cards(look: Look) -> Iterator[Mapping[str, Any]]:
    for answer in look["hosts"].values():
        yield from answer["gpus"]


def _foreign(look: Look) -> int:
    return sum(len(answer["foreign"]) for answer in look["hosts"].values())


def _known(cards: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [card[name] for card in cards if card[name] is not None]


def _total(look: Look, name: str) -> float | None:
    """The sum over all GPUs of a look; None where the driver does not tell it of each."""
    values = [card[name] for card in _cards(look)]
    return None if None in values else sum(values)
