"""The highest load at which a service keeps its limits: by doubling, then by bisection."""

from __future__ import annotations

from collections.abc import Callable

CLOSE = 0.05
"""Bisection ends when the answer is known to this part of itself, or to one step."""


def highest_kept(kept: Callable[[int], bool], first: int, most: int) -> int:
    """The highest load of 1 to ``most`` steps that was kept, as far as it was tried; 0 where even one is not.

    Loads are doubled from ``first`` on until one is not kept, then what lies between is halved. This takes for granted
    that a service which does not keep its limits at one load does not keep them at a higher one.
    """
    good, bad = 0, 0
    load = min(first, most)
    while not bad:
        if not kept(load):
            bad = load
        elif load == most:
            return most
        else:
            good, load = load, min(2 * load, most)
    while bad - good > max(1, int(CLOSE * good)):
        middle = (good + bad) // 2
        good, bad = (middle, bad) if kept(middle) else (good, middle)
    return good
