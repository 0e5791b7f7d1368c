"""Subcommands about the model stores of a deployment's hosts, and the manifest of its source."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from slipway.cli.connections import use_airflow
from slipway.spec import load_deployment
from slipway.spec.environments import environments_folder, load_lock
from slipway.stages import model_store

if TYPE_CHECKING:
    from slipway.facts.weights import Version
    from slipway.stages.site import Site

GIB = 2**30


def weights(arguments: argparse.Namespace) -> int:
    """Look after the models on a deployment's hosts: list what is staged, verify it, prune what nothing uses.

    ``manifest`` has the head read the source once and keeps the digests beside it. The hosts are reached by Airflow's
    connections: those of AIRFLOW_HOME, else of the embedded Airflow of the file's project.
    """
    act: Callable[[Site], int] = {"list": _list, "manifest": _manifest, "prune": _prune, "verify": _verify}[
        arguments.verb
    ]
    with _opened(arguments) as site:
        return act(site)


@contextmanager
def _opened(arguments: argparse.Namespace) -> Iterator[Site]:
    use_airflow(arguments.file)
    from slipway.hooks.hosts import open_site

    spec = load_deployment(arguments.file)
    lock = load_lock(environments_folder(arguments.file.resolve().parent), spec)
    with open_site(spec, lock, _say) as site:
        yield site


def _list(site: Site) -> int:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in ("host", "model", "version", "GiB", "last used (UTC)", "state", "used by"):
        table.add_column(column)
    for host, versions in model_store.look(site).items():
        for version in versions:
            used = f"{datetime.fromtimestamp(version.used_at, UTC):%Y-%m-%d %H:%M}"
            size = f"{version.bytes / GIB:.1f}"
            named = (host, version.model, version.digest[:12], size, used)
            table.add_row(*named, _state(version), ", ".join(version.used_by))
    Console().print(table)
    return 0


def _state(version: Version) -> str:
    if not version.whole:
        return "damaged"
    return "current" if version.current else ""


def _verify(site: Site) -> int:
    found = model_store.verify(site)
    for host, answer in found.items():
        size = f"{answer['bytes'] / GIB:.1f} GiB in {answer['files']} files"
        _say(f"[{host}] {answer['digest'][:12]}: {size} read in {answer['seconds']:.1f} s: {_judged(answer)}")
        for fault in answer["faults"]:
            _say(f"[{host}]   {fault['file']} at byte {fault['offset']}: {fault['fault']}")
        for name in answer["unlisted"]:
            _say(f"[{host}]   {name}: does not belong to the version")
    return 0 if all(answer["ok"] for answer in found.values()) else 1


def _judged(answer: dict[str, Any] | Any) -> str:
    return "as its manifest says" if answer["ok"] else "damaged; the next deploy stages it anew"


def _prune(site: Site) -> int:
    """As a run of its own, which holds the hosts meanwhile: a deploy that stages there waits, and so does this."""
    with _hosts_held(site):
        for host, paths in model_store.prune(site).items():
            _say(f"[{host}] removed: {', '.join(paths) or 'nothing'}")
    return 0


@contextmanager
def _hosts_held(site: Site) -> Iterator[None]:
    """Raises LeaseHeld, with the holder's name, while another run holds one of the hosts."""
    from slipway.hooks.settings import store_url
    from slipway.operators.lease import held
    from slipway.store import RunStart, State, open_store

    spec, began = site.spec, datetime.now(UTC).isoformat()
    with open_store(store_url()) as store:
        run = RunStart(spec.name, "prune", f"{spec.name}.prune", began, rehearsal=spec.rehearsal, reason="by hand")
        run_id, state = store.begin_run(run), State.FAILED
        try:
            with held(store, run_id, spec, "prune"):
                yield
            state = State.SUCCESS
        finally:
            store.finish_run(run_id, state)


def _manifest(site: Site) -> int:
    answer = model_store.take_manifest(site)
    taken = f"taken in {answer['seconds']:.1f} s" if answer["read_bytes"] else "there already"
    _say(f"{answer['path']}: {taken}, its digest is {answer['digest']}")
    return 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
