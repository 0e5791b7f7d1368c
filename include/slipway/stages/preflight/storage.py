"""The check of the model's storage: it is there, whole, and fast enough. Pure."""

from __future__ import annotations

from slipway.facts.weights import Reading, Weights
from slipway.results.preflight import Finding, fail, ok, warn
from slipway.stages.preflight.seen import GIB, Seen, gib


def storage(seen: Seen) -> Finding:
    source = seen.spec.weights.source
    hint = "mount the storage there, or mend weights.source"
    if seen.weights is None:
        return fail(f"{source}: {seen.fault}", hint)
    if not seen.weights.source_exists:
        return fail(f"{source} is not there", hint)
    if seen.weights.problems:
        return fail(f"{source} is no whole model: {'; '.join(seen.weights.problems[:3])}", "mend the source")
    if seen.spec.weights.repository and not seen.weights.current:
        return ok(f"{source} is not staged yet; the hub is asked when it is")
    there = f"{gib(seen.weights.bytes)} in {source}"
    if seen.weights.current:
        there = f"{gib(seen.weights.bytes)} staged from {source}"
    if seen.reading is None:
        return fail(f"{there}: cannot be read: {seen.fault}", "let this user read the model's files")
    return _speed(seen, seen.weights, seen.reading, there)


def _speed(seen: Seen, weights: Weights, reading: Reading, there: str) -> Finding:
    """What the sample says of the way to come: staging where the model is not staged yet, else loading."""
    if reading.bytes_per_s is None:
        return ok(f"{there}, readable; too small to tell its speed")
    seconds = weights.bytes / reading.bytes_per_s
    copies = seen.spec.weights.stage and not weights.current
    what, field, limit_s = "load", "serve.ready_timeout_s", seen.spec.serve.ready_timeout_s
    if copies:
        what, field, limit_s = "copy", "weights.timeout_s", seen.spec.weights.timeout_s
    cached = "" if reading.direct else ", perhaps from memory"
    found = f"{there}, read at {reading.bytes_per_s / GIB:.2f} GiB/s{cached}: about {max(1, seconds):.0f} s to {what}"
    if seconds > limit_s:
        return warn(found, f"raise {field} ({limit_s} s), or find out why that storage is slow")
    return ok(found)
