"""Hosts opened through Airflow's connections."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from slipway.errors import HostUnfit, HostUnreachable, SpecError
from slipway.hosts import Host, LocalHost, SSHHost
from slipway.spec import DeploymentSpec, HostSpec
from slipway.spec.judging import LoadWorkerSpec
from slipway.stages.load_workers import LoadWorker, load_workers
from slipway.stages.site import Site

if TYPE_CHECKING:
    import paramiko

LOCAL = "local"
SHORTEST_KEY = 8
API_KEY = re.compile(rf"[!-~]{{{SHORTEST_KEY},}}")


@contextmanager
def open_site(spec: DeploymentSpec, lock: str, say: Callable[[str], None], *, partial: bool = False) -> Iterator[Site]:
    """The deployment with its hosts open and Slipway's programs on them; connections are closed at the end.

    Raises HostError for hosts that cannot be reached or prepared, naming each; ``partial`` opens the others instead.
    """
    hosts = {host.name: _host(host) for host in spec.hosts}
    load_hosts = {worker.name: _host(worker) for worker in spec.benchmark.workers}
    site = Site(
        spec=spec,
        hosts=hosts,
        lock=lock,
        say=say,
        hub_token=lambda: _password("weights.token_connection", spec.weights.token_connection, "the hub's token"),
        api_key=lambda: _api_key(spec),
        load_hosts=load_hosts,
    )
    try:
        if partial:
            yield site.within_reach()
        else:
            site.prepare()
            yield site
    finally:
        _close(hosts.values())
        _close(load_hosts.values())


@contextmanager
def open_load_workers(spec: DeploymentSpec) -> Iterator[tuple[LoadWorker, ...]]:
    """The machines of ``benchmark.workers``; connections are opened at their first command and closed at the end."""
    hosts = {worker.name: _host(worker) for worker in spec.benchmark.workers}
    try:
        yield load_workers(spec, hosts)
    finally:
        _close(hosts.values())


def _close(hosts: Iterable[Host]) -> None:
    for host in hosts:
        if isinstance(host, SSHHost):
            host.close()


def _host(spec: HostSpec | LoadWorkerSpec) -> Host:
    if spec.connection == LOCAL:
        return LocalHost(spec.name)
    return SSHHost(spec.name, lambda: _connected(spec))


def _api_key(spec: DeploymentSpec) -> str:
    """The server's key. Raises SpecError for one that no header can hold, or that is too short to be known again."""
    place, name = "serve.api_key_connection", spec.serve.api_key_connection
    key = _password(place, name, "the server's API key")
    if name and not API_KEY.fullmatch(key):
        hint = f"at least {SHORTEST_KEY} letters, digits or signs, without a space: `openssl rand -hex 32`"
        raise SpecError(f"{place}: the password of {name!r} is no API key", hint=hint)
    return key


def _password(place: str, name: str | None, what: str) -> str:
    """The password of an Airflow connection that the file names at ``place``. Raises SpecError where there is none."""
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError

    try:
        password = Connection.get(name).password if name else ""
    except (AirflowException, AirflowRuntimeError) as error:
        raise SpecError(
            f"{place}: no Airflow connection {name!r}: {error}",
            hint=f"add it, with {what} as its password",
        ) from error
    if name and not password:
        raise SpecError(f"{place}: {name!r} has no password", hint=f"put {what} there")
    return password or ""


def _connected(spec: HostSpec | LoadWorkerSpec) -> paramiko.SSHClient:
    """A client of the provider's own SSH hook: keys, ports, jump hosts and host-key checks are the connection's."""
    import paramiko
    from airflow.providers.ssh.hooks.ssh import SSHHook
    from airflow.sdk.exceptions import AirflowException

    try:
        return SSHHook(ssh_conn_id=spec.connection).get_conn()
    except paramiko.BadHostKeyException as error:
        raise HostUnfit(
            spec.name,
            f"its SSH host key is not the one that Airflow connection {spec.connection!r} expects: {error}",
            hint="was the host set up anew? then mend `host_key` there; else find out who answers at that address",
        ) from error
    except (paramiko.SSHException, OSError, AirflowException) as error:
        raise HostUnreachable(
            spec.name,
            f"no SSH connection by Airflow connection {spec.connection!r}: {error}",
            hint="check that connection's host, user, key and host_key in Airflow",
        ) from error
