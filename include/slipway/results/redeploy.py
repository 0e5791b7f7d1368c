"""A redeploy in words, from its run's snapshot: what it changed, how long nothing answered, what was put back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def told(snapshot: Mapping[str, Any]) -> list[str]:
    """A line each; none for a run that is no redeploy."""
    told = difference_told(snapshot.get("difference", {}))
    return [*told, *_downtime(snapshot), *_traffic(snapshot), *_restore(snapshot)]


def difference_told(data: Mapping[str, Any]) -> list[str]:
    """From the difference as the snapshot holds it: what changes, what acts for it, whether the server stops."""
    if not data:
        return []
    if not data.get("from"):
        return ["Nothing runs yet: a first deploy"]
    if not data["changes"]:
        return [f"Nothing differs from revision {data['from']}, which runs"]
    lines = [f"  {key}: {_shown(old)} -> {_shown(new)}" for key, old, new in data["changes"]]
    return [f"Changed from revision {data['from']}, which runs:", *lines, _acts(data)]


def _acts(data: Mapping[str, Any]) -> str:
    if not data["acts"]:
        return "No stage acts for it: the server runs on"
    server = "the server is stopped and started" if data["downtime"] else "the server runs on"
    if data.get("beside"):
        server = "the new server is started on the spare hosts, and traffic moves to it when it is promoted"
    return f"For it {', '.join(data['acts'])} may act: {server}"


def _downtime(snapshot: Mapping[str, Any]) -> Iterator[str]:
    if snapshot.get("down_since"):
        yield "Nothing answers since this run has stopped the server"
    elif seconds := snapshot.get("downtime_s"):
        yield f"Downtime: {seconds:.1f} s from the stop of one server to the first completion of the next"


def _traffic(snapshot: Mapping[str, Any]) -> Iterator[str]:
    traffic = snapshot.get("traffic", {})
    if "drained_s" in traffic:
        yield (
            f"Traffic moved to {traffic['server']}; the old server had {traffic['left']} requests left after "
            f"{traffic['drained_s']:.1f} s"
        )


def _restore(snapshot: Mapping[str, Any]) -> Iterator[str]:
    if restore := snapshot.get("restore"):
        yield f"Not promoted: {restore['why']}"
        yield f"Restore: {restore['outcome']}"


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)
