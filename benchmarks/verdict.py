"""What the judge makes of histories whose truth is known: false alarms, and shifts found.

    PYTHONPATH=include python benchmarks/verdict.py [--histories 1000] [--runs 5] [--seed 1]

A history is some runs of a deployment that did not change, and then one run whose throughput is lower by the shift.
Noise is normal, with the given coefficient of variation; TPOT has its own, correlated with that of throughput by 0.8,
as both come from the same window. `shift of` says what moved: `both`, as on a closed loop, or `throughput` alone.
"""

from __future__ import annotations

import argparse
import itertools
import math
import random
import statistics
from collections.abc import Iterator

from slipway.results import Distribution, Measurement
from slipway.spec.judging import VerdictSpec
from slipway.verdicts.judge import Answer, Past, judge

CORRELATION = 0.8
USERS = (10, 50, 100, 150)


def history(chance: random.Random, runs: int, levels: int, noise: float, shift: float, *, both: bool) -> Answer:
    """The judge's answer to one history; ``noise`` and ``shift`` are shares of 1."""
    users = USERS[:levels]
    earlier = {f"{each} users": [cell(chance, each, noise) for _ in range(runs)] for each in users}
    now = [cell(chance, each, noise, shift, both=both) for each in users]
    return judge(now, Past(earlier), VerdictSpec()).answer


def cell(chance: random.Random, users: int, noise: float, shift: float = 0.0, *, both: bool = True) -> Measurement:
    common, own = chance.gauss(0, 1), chance.gauss(0, 1)
    throughput = 1000 * users * (1 - shift) * (1 + noise * common)
    slower = CORRELATION * common + math.sqrt(1 - CORRELATION**2) * own
    tpot = 0.020 / (1 - shift if both else 1) * (1 - noise * slower)
    return measurement(users, throughput, tpot)


def measurement(users: int, throughput: float, tpot: float) -> Measurement:
    spread = Distribution(1000, *[tpot] * 7)
    return Measurement(
        users=users,
        spawn_rate=1,
        processes=1,
        started_at=0,
        window_s=180,
        requests=1000,
        errors={},
        prompt_tokens=0,
        output_tokens=0,
        requests_per_s=1,
        output_tokens_per_s=throughput,
        ttft=None,
        itl=None,
        tpot=spread,
        e2e=None,
    )


def table(histories: int, runs: int, seed: int) -> Iterator[str]:
    yield "| noise (CV) | load levels | shift of | no shift: not `same` | 5 %: worse | 10 %: worse | 20 %: worse |"
    yield "|---|---|---|---|---|---|---|"
    for noise, levels, both in itertools.product((0.01, 0.015, 0.02, 0.03), (1, 2, 4), (True, False)):
        shares = []
        for shift in (0.0, 0.05, 0.10, 0.20):
            chance = random.Random(f"{seed} {noise} {levels} {both} {shift}")
            answers = [history(chance, runs, levels, noise, shift, both=both) for _ in range(histories)]
            counted = [answer is Answer.WORSE if shift else answer is not Answer.SAME for answer in answers]
            shares.append(f"{statistics.mean(counted):.1%}")
        yield f"| {noise:.1%} | {levels} | {'both' if both else 'throughput'} | {' | '.join(shares)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--histories", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=5, help="runs of history")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    for line in table(arguments.histories, arguments.runs, arguments.seed):
        print(line)


if __name__ == "__main__":
    main()
