"""Preflight's rows for the machines that only make load: can they be reached, and have they what Locust needs?"""

from __future__ import annotations

from importlib.metadata import version

from slipway.errors import HostError
from slipway.hosts import Host, on_each
from slipway.results.preflight import Check, Finding, fail, ok, unseen, warn
from slipway.shell import Command
from slipway.spec.judging import LoadWorkerSpec
from slipway.stages.site import Site

LOCUST = "locust"
"""The row's name."""

VERSION = "import sys; print('Python %d.%d' % sys.version_info[:2])"
LOCUST_VERSION = "import locust; print('Locust', locust.__version__)"
ASK_S = 60.0


def look(site: Site) -> list[Check]:
    """A row each; nothing is changed there."""
    workers = {worker.name: worker for worker in site.spec.benchmark.workers}
    found = on_each(site.load_hosts.values(), lambda host: _row(workers[host.name], host))
    return list(found.values())


def _row(worker: LoadWorkerSpec, host: Host) -> Check:
    try:
        return Check(worker.name, LOCUST, *_found(worker, host))
    except HostError as error:
        return unseen(worker.name, LOCUST, error)


def _found(worker: LoadWorkerSpec, host: Host) -> Finding:
    interpreter, program = worker.existing or worker.python, LOCUST_VERSION if worker.existing else VERSION
    result = host.run(Command((interpreter, "-c", program), timeout_s=ASK_S))
    if result.ok:
        return _fit(f"{result.stdout.strip()} at {interpreter}", worker)
    said = (result.stderr.strip().splitlines() or [f"exit code {result.returncode}"])[-1]
    key = "existing" if worker.existing else "python"
    return fail(f"{interpreter}: {said}", f"correct `benchmark.workers.{key}` of {worker.name}, or install it there")


def _fit(found: str, worker: LoadWorkerSpec) -> Finding:
    ours = version("locust")
    if worker.existing and not found.startswith(f"Locust {ours} "):
        return warn(f"{found}, but {ours} conducts", f"leave out `benchmark.workers.existing` of {worker.name}")
    return ok(found)
