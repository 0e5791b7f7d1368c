"""Asks an endpoint for one token, again and again, until SIGINT; prints what became of the requests.

python benchmarks/gpu/ask.py URL MODEL
"""

from __future__ import annotations

import signal
import sys
import time

import httpx

EVERY_S = 0.25


def ask(http: httpx.Client, model: str) -> bool:
    body = {"model": model, "prompt": "Hello", "max_tokens": 1}
    try:
        return http.post("/v1/completions", json=body).status_code == 200
    except httpx.TransportError:
        return False


def main(url: str, model: str) -> None:
    began, failed, asked, answered_at, longest_s = time.monotonic(), 0, 0, time.monotonic(), 0.0
    ends: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: ends.append(number))
    with httpx.Client(base_url=url, timeout=20, trust_env=False) as http:
        while not ends:
            asked += 1
            if ask(http, model):
                longest_s = max(longest_s, time.monotonic() - answered_at)
                answered_at = time.monotonic()
            else:
                failed += 1
            time.sleep(EVERY_S)
    longest_s = max(longest_s, time.monotonic() - answered_at)
    print(
        f"{failed} of {asked} requests failed in {time.monotonic() - began:.0f} s; "
        f"the longest time without an answer was {longest_s:.1f} s"
    )


if __name__ == "__main__":
    if sys.argv[3:] == ["once"]:
        sys.exit(not ask(httpx.Client(base_url=sys.argv[1], timeout=20, trust_env=False), sys.argv[2]))
    main(sys.argv[1], sys.argv[2])
