"""Guards: whether a cell may be believed, and why not. ``docs/metrics.md`` lists them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from slipway.results.measurement import Distribution, Validity


@dataclass(frozen=True)
class Guard:
    """A figure with two limits: above ``suspect`` the cell is suspect, above ``invalid`` it is invalid."""

    value: float
    suspect: float
    invalid: float
    reason: str
    """What is wrong, as a sentence without an end; ``{}`` is where the value stands."""

    def verdict(self) -> tuple[Validity, str] | None:
        if self.value <= self.suspect:
            return None
        verdict = Validity.INVALID if self.value > self.invalid else Validity.SUSPECT
        return verdict, self.reason.format(f"{self.value:.1%}")


def judge(guards: Iterable[Guard]) -> tuple[Validity, tuple[str, ...]]:
    """The worst of all guards, and every reason, the worst first."""
    found = [verdict for guard in guards if (verdict := guard.verdict())]
    order = (Validity.INVALID, Validity.SUSPECT)
    found.sort(key=lambda verdict: order.index(verdict[0]))
    return (found[0][0] if found else Validity.VALID), tuple(reason for _, reason in found)


def client_guards(
    client: Mapping[str, float],
    ttft: Distribution,
    hosts: Mapping[str, Mapping[str, float]],
    turn: Distribution | None = None,
) -> list[Guard]:
    """Whether the load generator was fit: the load as a whole, and each of the ``hosts`` that made it, by its name.

    ``turn`` is what a user's turn takes in a closed loop, the E2E latency: a request that leaves late has its TTFT
    counted from when it left, and only lowers the load. In an open loop its lateness is a part of what is seen.
    """
    guards = [
        Guard(client["inexact_share"], 0.01, 0.50, "{} of the answers were counted unlike their usage; ITL lacks them"),
        Guard(1 - client["offered_share"], 0.02, 0.10, "the load was {} below what was asked"),
        Guard(client["off_schedule_share"], 0.01, 0.10, "{} of the requests did not leave within 0.1 s of their time"),
    ]
    for name, health in hosts.items():
        guards += _host_guards(health, ttft, turn, f"{name}: " if name else "")
    return guards


def _host_guards(health: Mapping[str, float], ttft: Distribution, turn: Distribution | None, where: str) -> list[Guard]:
    """Limits on times are parts of the median TTFT, that on lateness in a closed loop of a user's turn.

    One late sample never makes a cell invalid, however few there are: a median does not move for it.
    """
    late_limit = max(0.05, 1.5 / max(1.0, health["requests"]))
    whole, of_what = (turn, "E2E latency") if turn else (ttft, "TTFT")
    late = f"{where}requests left late: p99 is {{}} of the median {of_what}"
    merged = f"{where}{{}} of the tokens were read together with others; ITL is smoothed"
    return [
        Guard(health["cpu_share"], 0.70, 0.95, f"{where}a load process used {{}} of a core; use more processes"),
        Guard(health["send_lag_p99_s"] / whole.p50, 0.02, 0.50, late),
        Guard(health["late_share"], 0.01, late_limit, f"{where}{{}} of the first tokens were read late"),
        Guard(health["merged_share"], 0.10, 0.50, merged),
        Guard(health["unstamped_share"], 0.01, 1.0, f"{where}{{}} of the reads had no receive time from the kernel"),
        Guard(
            health["clock_step_s"] / ttft.p50, 0.02, 0.10, f"{where}the wall clock was moved by {{}} of the median TTFT"
        ),
        Guard(health["clock_bound_share"], 0.01, 0.05, f"{where}its clock is known to {{}} of the window alone"),
    ]


def answer_guards(requests: int, failed: int, ended_early: int) -> list[Guard]:
    """Whether the answers were what was asked for. ``ended_early`` counts those with too few tokens."""
    whole = requests + failed
    return [
        Guard(0.0 if requests else 1.0, 0.0, 0.0, "no request succeeded inside the window"),
        Guard(failed / whole if whole else 0.0, 0.0, 0.01, "{} of the requests failed"),
        Guard(ended_early / requests if requests else 0.0, 0.0, 0.05, "{} of the answers ended early"),
    ]


def server_guards(
    server: Mapping[str, float], arrived_tokens: int, template_tokens: int, on_their_way_tokens: float = 0.0
) -> list[Guard]:
    """Whether the server's counters agree.

    Up to ``template_tokens`` may be cache hits: chats share their template. ``on_their_way_tokens`` may be counted by
    the server on one side of an end of the window and arrive on the other.
    """
    restarted = float(any(value < 0 for value in server.values()))
    guards = [Guard(restarted, 0.0, 0.0, "the server was started anew inside the window")]
    generated = server.get("generation_tokens")
    if generated is not None and arrived_tokens:
        apart = max(0.0, abs(generated - arrived_tokens) - on_their_way_tokens) / arrived_tokens
        reason = "the server's count of output tokens is {} off what arrived: has it other clients?"
        guards.append(Guard(apart, 0.01, 0.05, reason))
    queries = server.get("prefix_cache_queries", 0.0)
    if queries > 0:
        share = (server.get("prefix_cache_hits", 0.0) - template_tokens) / queries
        guards.append(Guard(share, 0.01, 0.10, "{} of the prompt tokens came from the prefix cache"))
    return guards


def gpu_guards(gpu: Mapping[str, float]) -> list[Guard]:
    """Whether the GPUs were the deployment's alone and at full speed; nothing is said where they were not looked at."""
    slowed = "in {} of the looks at a GPU, heat or its power supply slowed it"
    foreign = "processes that are not the deployment's were on its GPUs; gpus.jsonl names them"
    return [
        Guard(gpu.get("slowed_share", 0.0), 0.0, 0.20, slowed),
        Guard(gpu.get("foreign_processes", 0.0), 0.0, math.inf, foreign),
    ]
