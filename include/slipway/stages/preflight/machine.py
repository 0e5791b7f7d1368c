"""Checks of the host as a machine: interpreter, disk, memory, limits, clock, ports. Pure."""

from __future__ import annotations

from slipway.results.preflight import Finding, fail, ok, warn
from slipway.spec import Layout
from slipway.stages.preflight.seen import GIB, Seen, gib, ports

ENVIRONMENT_BYTES = {True: 5 * GIB, False: 20 * GIB}
"""Room that making an environment takes: the CPU build's in rehearsal, else CUDA's."""
RANK_BYTES = {True: 1 * GIB, False: 4 * GIB}
"""Memory that each rank takes of the host, in rehearsal and on a GPU, before any weights."""
SHARED_BYTES = 256 << 20
"""What NCCL's and vLLM's own segments take in /dev/shm, beside Ray's object store."""

LEAST_FILES = 4096
FEW_FILES = 16_384
GOOD_FILES = 65_536
LOCKED_BYTES = 1 * GIB
SKEW_WARN_S, SKEW_FAIL_S = 1.0, 30.0


def python(seen: Seen) -> Finding:
    spec = seen.spec.environment
    wanted = spec.existing or spec.python
    found = seen.facts["commands"].get(wanted)
    if found:
        return ok(f"{found['path']} ({found['version']})")
    if spec.existing:
        return fail(f"{wanted} is not there", "make that environment there, or mend environment.existing")
    return fail(f"{wanted} is not there", f"install {wanted} with its venv module, or set environment.python")


def disk(seen: Seen) -> Finding:
    """Room for what is still to be made, added up where both lie on one file system."""
    root, store = seen.spec.root, Layout(seen.spec.root).models(seen.spec.weights.name)
    disks = seen.facts["disks"]
    if not disks[root]["writable"]:
        return fail(f"{root} is not writable", "give this user the folder, or set root")
    wanted = _wanted(seen)
    needs = {root: sum(wanted.values())}
    if disks[store]["device"] != disks[root]["device"]:
        needs = {root: wanted["the environment"], store: wanted["the model"]}
    told = "; ".join(f"{gib(disks[path]['free_bytes'])} free below {path}" for path in needs)
    asked = " and ".join(f"{gib(size)} for {what}" for what, size in wanted.items() if size)
    found = f"{told}, needs {asked}" if asked else f"{told}, nothing more is needed"
    short = [path for path, size in needs.items() if disks[path]["free_bytes"] < size]
    return fail(found, f"free space below {' and '.join(short)}, or set root") if short else ok(found)


def _wanted(seen: Seen) -> dict[str, int]:
    made = seen.has_environment or seen.spec.environment.existing
    return {
        "the environment": 0 if made else ENVIRONMENT_BYTES[seen.spec.rehearsal],
        "the model": seen.weights.needed_bytes if seen.weights and seen.spec.weights.stage is True else 0,
    }


def memory(seen: Seen) -> Finding:
    free = seen.facts["memory"]["available_bytes"]
    found = f"{gib(free)} of {gib(seen.facts['memory']['total_bytes'])} free, {seen.facts['cpus']} CPUs"
    needed = seen.host.gpus * RANK_BYTES[seen.spec.rehearsal] + _object_store_bytes(seen)
    if seen.own_sessions:
        return ok(f"{found}, beside what runs of this deployment")
    if free < needed:
        return fail(f"{found}, needs {gib(needed)} before any weights", "look with `ps aux --sort=-rss` who has it")
    return ok(found)


def shared_memory(seen: Seen) -> Finding:
    place = seen.facts["shared_memory"]
    if place is None:
        return fail("there is no /dev/shm", "mount a tmpfs there: NCCL, Ray and vLLM need it")
    needed = SHARED_BYTES + _object_store_bytes(seen)
    found = f"{gib(place['free_bytes'])} of {gib(place['total_bytes'])} free in /dev/shm"
    there = place["total_bytes"] if seen.own_sessions else place["free_bytes"]
    if there < needed:
        return fail(
            f"{found}, needs {gib(needed)}", "mount it larger (`mount -o remount,size=`; a container: --shm-size)"
        )
    return ok(found)


def limits(seen: Seen) -> Finding:
    """The hard limit on open files counts: Ray and vLLM raise their soft one to it themselves."""
    given = seen.facts["limits"]
    files, locked = given["nofile"]["hard"], given["memlock_bytes"]["soft"]
    found = f"nofile {_limit(files)}, memlock {'unlimited' if locked is None else gib(locked)}"
    if files is not None and files < LEAST_FILES:
        return fail(found, f"raise nofile to {GOOD_FILES} for this user in /etc/security/limits.conf")
    if _uses_rdma(seen) and locked is not None and locked < LOCKED_BYTES and not seen.facts["locks_freely"]:
        return fail(f"{found}: RDMA locks more", "set memlock unlimited for this user in /etc/security/limits.conf")
    if files is not None and files < FEW_FILES:
        return warn(found, f"raise nofile to {GOOD_FILES} for this user: many users at once need it")
    return ok(found)


def clock(seen: Seen) -> Finding:
    if seen.skew_s <= SKEW_WARN_S:
        return ok(f"within {SKEW_WARN_S:g} s of this machine's")
    found = f"at least {seen.skew_s:.1f} s from this machine's"
    hint = "set up time synchronisation on both (chrony, timesyncd)"
    return fail(found, hint) if seen.skew_s > SKEW_FAIL_S else warn(found, hint)


def ports_free(seen: Seen) -> Finding:
    if not seen.taken:
        return ok(f"{len(ports(seen.spec, seen.host))} free or our own")
    told = "; ".join(f"{port.port} is held by {port.owner}" for port in seen.taken)
    fields = ", ".join(sorted({_field(seen, port.port) for port in seen.taken}))
    return fail(told, f"end that process, or move {fields} in the deployment file")


def _field(seen: Seen, port: int) -> str:
    own = seen.spec.ray.ports
    named = {seen.spec.serve.port: "serve.port", own.gcs: "ray.ports.gcs", own.dashboard: "ray.ports.dashboard"}
    return named.get(port, "ray.ports.block")


def _object_store_bytes(seen: Seen) -> int:
    return seen.spec.ray.object_store_bytes if seen.spec.serve.backend == "ray" else 0


def _uses_rdma(seen: Seen) -> bool:
    return len(seen.spec.hosts) > 1 and "NCCL_IB_HCA" in seen.env and seen.env.get("NCCL_IB_DISABLE", "0") != "1"


def _limit(value: int | None) -> str:
    return "unlimited" if value is None else str(value)
