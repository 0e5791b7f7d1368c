"""Checks of the GPUs that the deployment would take. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from slipway.results.preflight import Finding, fail, ok, warn
from slipway.stages.preflight.seen import Seen, gib

BROKEN_XIDS = frozenset({48, 64, 74, 79, 95, 119, 120, 140})
"""Xids of broken hardware by NVIDIA's catalogue: uncorrected ECC errors, NVLink, off the bus, no answer of the GSP."""
RECENT_S = 86400.0
"""For how long such a message speaks against a GPU: it stays in the kernel's log when the GPU is mended."""


def gpus(seen: Seen, earlier: Sequence[Seen] = ()) -> Finding:
    """As many as the file says, all alike, and like those of the hosts before it."""
    found, wanted = seen.gpus, seen.host.gpus
    if len(found) < wanted:
        why = f": {seen.facts['gpu_error']}" if seen.facts["gpu_error"] else ""
        return fail(f"{len(found)} GPUs, the file says {wanted}{why}", "look at nvidia-smi there, or set gpus")
    kinds = [_kind(gpu) for gpu in found]
    if len(set(kinds)) > 1:
        told = ", ".join(f"{kinds.count(kind)} x {kind}" for kind in dict.fromkeys(kinds))
        return fail(f"they differ: {told}", "choose equal ones by CUDA_VISIBLE_DEVICES in hosts.env")
    first = next((each for each in earlier if each.gpus), None)
    if kinds and first and _kind(first.gpus[0]) != kinds[0]:
        told = f"{kinds[0]}, but {first.host.name} has {_kind(first.gpus[0])}"
        return fail(told, "install the same driver on each host; ranks on different GPUs wait for the slowest")
    return ok(f"{len(found)} x {kinds[0]}" if kinds else "none asked for")


def health(seen: Seen) -> Finding:
    """No uncorrected error, no row to be remapped, no message of broken hardware of the last day."""
    bad = [f"GPU {gpu['index']}: {fault}" for gpu in seen.gpus for fault in _faults(gpu)]
    xids = _own_xids(seen)
    broken = [xid for xid in xids if xid["xid"] in BROKEN_XIDS and xid["age_s"] < RECENT_S]
    bad += [_xid_words(xid) for xid in broken]
    if bad:
        return fail("; ".join(bad), "drain the host, reset the GPU (`nvidia-smi --gpu-reset`), and have it looked at")
    if seen.facts["xids"] is None:
        return warn("no ECC errors; Xid messages are not known", "let this user read the kernel's log (/dev/kmsg)")
    if xids:
        told = f"{len(xids)} Xid messages since the start of this host, the last: {_xid_words(xids[-1])}"
        return warn(told, "look up that Xid in NVIDIA's catalogue")
    return ok("no ECC errors, no Xid messages")


def processes(seen: Seen) -> Finding:
    """Nobody else is on these GPUs. What is there is named, and left alone."""
    uuids = {gpu["uuid"]: gpu["index"] for gpu in seen.gpus}
    others = [each for each in seen.facts["gpu_processes"] if each["gpu_uuid"] in uuids and not _own(seen, each)]
    if not others:
        return ok("ours alone" if seen.own_sessions else "free")
    told = "; ".join(f"GPU {uuids[each['gpu_uuid']]}: {_process_words(each)}" for each in others)
    if seen.own_sessions and all(each["command"] is None for each in others):
        return warn(told, "nvidia-smi names process ids of another container: look there whether these are ours")
    return fail(told, "end it, or choose other GPUs by CUDA_VISIBLE_DEVICES in hosts.env; Slipway leaves it alone")


def _kind(gpu: Mapping[str, Any]) -> str:
    return f"{gpu['name']}, driver {gpu['driver_version']}"


def _faults(gpu: Mapping[str, Any]) -> list[str]:
    faults = [f"{gpu['ecc_errors']} uncorrected ECC errors since the driver was loaded"] if gpu["ecc_errors"] else []
    faults += ["a row waits to be remapped at the next reset"] if gpu["remap_pending"] else []
    return faults + (["remapping a row has failed"] if gpu["remap_failed"] else [])


def _own_xids(seen: Seen) -> list[Mapping[str, Any]]:
    """Of these GPUs; one that fell off the bus is not among those seen, so it counts where any is missing."""
    places = {gpu["pci"] for gpu in seen.gpus}
    whole = len(seen.gpus) >= seen.host.gpus
    return [xid for xid in seen.facts["xids"] or () if xid["pci"] in places or not whole]


def _own(seen: Seen, process: Mapping[str, Any]) -> bool:
    """By the session of one of the deployment's roles, or by the mark that their processes inherit."""
    roles = f"{seen.spec.root}/agents/{seen.spec.name}."
    return process["session"] in seen.own_sessions or str(process["mark"] or "").startswith(roles)


def _xid_words(xid: Mapping[str, Any]) -> str:
    return f"Xid {xid['xid']} of {xid['pci']} {_ago(xid['age_s'])} ago ({xid['text'][:80]})"


def _process_words(process: Mapping[str, Any]) -> str:
    has = "" if process["memory_bytes"] is None else f", {gib(process['memory_bytes'])}"
    if process["command"] is None:
        return f"pid {process['pid']}, not visible from here{has}"
    since = f", for {_ago(process['age_s'])}" if process["age_s"] is not None else ""
    return f"{process['command'][:80]} (pid {process['pid']}, user {process['user']}{since}{has})"


def _ago(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
