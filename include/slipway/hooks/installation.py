"""Whether an installation is whole: every check says what it found, and what would mend it. Nothing is changed."""

from __future__ import annotations

import importlib.metadata
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from slipway.errors import SlipwayError
from slipway.hooks import settings
from slipway.hooks.hosts import LOCAL
from slipway.results.preflight import Finding, fail, ok, warn

if TYPE_CHECKING:
    from slipway.spec import DeploymentSpec

PARTS = {"scheduler": "SchedulerJob", "dag-processor": "DagProcessorJob", "triggerer": "TriggererJob"}
"""Airflow's parts by the job whose heartbeat they write."""


def examine() -> Iterator[tuple[str, Finding]]:
    """Every check by its name, in the order in which faults are best mended."""
    specs, faults = _deployments()
    yield "packages", packages()
    yield "Airflow's database", airflow_database()
    yield "results database", results_database()
    yield "fernet key", fernet_key()
    yield "files' modes", modes(_private_files())
    yield "DAG folder", dag_folder()
    yield "plugin", plugin()
    yield "deployments", faults or ok(f"{len(specs)} in {settings.deployments_folder()}")
    for name in connections_of(specs):
        yield f"connection {name}", connection(name)
    for name in sorted({spec.pool for spec in specs}):
        yield f"pool {name}", pool(name)
    for name, job in PARTS.items():
        yield name, alive(name, job)


def packages() -> Finding:
    """The installed packages against what Slipway asks for."""
    wanted = [Requirement(line) for line in importlib.metadata.requires("slipway") or ()]
    asked = [each for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})]
    wrong = [
        f"{each.name} {found or 'missing'} (wanted: {each.specifier})"
        for each in asked
        if not ((found := _version(each.name)) and each.specifier.contains(found, prereleases=True))
    ]
    if wrong:
        return fail("; ".join(wrong), "install requirements.txt into this environment")
    return ok(f"{len(asked)} packages, Airflow {_version('apache-airflow')}")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def airflow_database() -> Finding:
    from airflow.utils.db import check_migrations
    from sqlalchemy.exc import SQLAlchemyError

    try:
        check_migrations(0)  # type: ignore[no-untyped-call]
    except TimeoutError:
        return fail("its tables are not those of this Airflow and its providers", "run `airflow db migrate`")
    except SQLAlchemyError as error:
        first = str(error).splitlines()[0]
        return fail(f"not reached: {first}", "see [database] sql_alchemy_conn, and whether the database runs")
    return ok("reached, migrated")


def results_database() -> Finding:
    from slipway.store import open_store, schema
    from slipway.store.engine import open_engine, turned_errors

    try:
        with open_engine(settings.store_url()) as engine, turned_errors(engine):
            found, kind = schema.current(engine), engine.dialect.name
        if found != schema.head():
            return fail(f"its tables are of schema {found or 'none'}, not {schema.head()}", "run `airflow db migrate`")
        with open_store(settings.store_url()) as store:
            newest = store.runs(limit=1)
    except SlipwayError as error:
        return fail(f"not reached: {error}", "see [slipway] store_url, and whether the database runs")
    told = f"reached, {kind}, schema {found}, {f'last run {newest[0].id}' if newest else 'no run yet'}"
    if kind == "sqlite" and _executor() != "LocalExecutor":
        return fail(f"{told}, but tasks run on other machines", "set [slipway] store_url to a PostgreSQL")
    return ok(told)


def _executor() -> str:
    from airflow.configuration import conf

    return str(conf.get("core", "executor"))


def fernet_key() -> Finding:
    from airflow.configuration import conf

    if conf.get("core", "fernet_key", fallback=""):
        return ok("set: connections are encrypted")
    return fail("not set: connections lie in the database as plain text", "set [core] fernet_key, then save them anew")


def _private_files() -> list[Path]:
    """What this user alone should read, as far as it is there."""
    from airflow.configuration import AIRFLOW_CONFIG, conf

    home = settings.artifacts_folder().parent
    passwords = conf.get("core", "simple_auth_manager_passwords_file", fallback="")
    named = [
        Path(AIRFLOW_CONFIG),
        Path(passwords) if passwords else None,
        *home.glob("*.db"),
        *home.glob("secrets.json"),
    ]
    return [path for path in named if path and path.exists()]


def modes(files: list[Path]) -> Finding:
    open_ones = [path for path in files if stat.S_IMODE(path.stat().st_mode) & 0o007 and not _closed(path.parent)]
    if open_ones:
        return warn(f"others may read {', '.join(map(str, open_ones))}", f"chmod o= {' '.join(map(str, open_ones))}")
    return ok(f"{len(files)} files, none for others")


def _closed(folder: Path) -> bool:
    """Whether others come no further than some folder above."""
    return any(not stat.S_IMODE(each.stat().st_mode) & 0o001 for each in (folder, *folder.parents))


def dag_folder() -> Finding:
    from airflow.configuration import conf

    folder = Path(conf.get("core", "dags_folder"))
    missing = [
        name for name in ("preflight", "deploy", "benchmark", "teardown") if not (folder / f"{name}.py").is_file()
    ]
    if missing:
        return fail(f"{folder} lacks {', '.join(f'{name}.py' for name in missing)}", "set [core] dags_folder to dags/")
    return ok(str(folder))


def plugin() -> Finding:
    from airflow import plugins_manager

    names = [plugin["name"] for plugin in plugins_manager.get_plugin_info()]
    faults = plugins_manager.get_import_errors()
    if faults:
        first, said = next(iter(faults.items()))
        return fail(
            f"{first}: {said.strip().splitlines()[-1]}", "mend that plugin; the API server reads them at its start"
        )
    if names.count("slipway") != 1:
        return fail(
            f"registered {names.count('slipway')} times", "set [core] plugins_folder to plugins/, or install Slipway"
        )
    return ok("registered")


def _deployments() -> tuple[list[DeploymentSpec], Finding | None]:
    """The files that can be read, and what is wrong with the others."""
    from slipway.spec import load_deployment

    specs, faults = [], []
    for path in sorted(settings.deployments_folder().glob("*.yaml")):
        try:
            spec = load_deployment(path)
            settings.lock_text(spec)
            specs.append(spec)
        except SlipwayError as error:
            faults.append(str(error).splitlines()[0])
    if faults:
        return specs, fail("; ".join(faults), "mend these files: `slipway check FILE` names every fault")
    if not specs:
        return specs, warn(f"none in {settings.deployments_folder()}", "see [slipway] deployments_folder")
    return specs, None


def connections_of(specs: list[DeploymentSpec]) -> list[str]:
    """The ids of the connections that hosts are reached by, that hold API keys, and by which people are told."""
    routers = {spec.beside.router.connection for spec in specs if spec.beside}
    named = ({host.connection for spec in specs for host in spec.machines} | routers) - {LOCAL}
    named |= {spec.serve.api_key_connection for spec in specs if spec.serve.api_key_connection}
    return sorted(named | {conn for conn in (settings.notify_conn(),) if conn})


def connection(name: str) -> Finding:
    from airflow.sdk.bases.hook import BaseHook
    from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError

    try:
        found = BaseHook.get_connection(name)
    except (AirflowException, AirflowRuntimeError):
        return fail("not there", "make it in Airflow's UI under Admin, Connections")
    extra = found.extra_dejson
    if found.conn_type == "ssh" and not extra.get("host_key"):
        return warn(
            f"ssh to {found.host}, without a host key", "put `host_key` into its extra fields: `ssh-keyscan HOST`"
        )
    return ok(f"{found.conn_type} to {found.host or 'a service'}")


def pool(name: str) -> Finding:
    from airflow.models.pool import Pool
    from sqlalchemy.exc import SQLAlchemyError

    try:
        found = Pool.get_pool(name)
    except SQLAlchemyError as error:
        return fail(str(error).splitlines()[0], "mend Airflow's database first")
    if found is None:
        return fail("not there: its tasks never run", f"airflow pools set {name} SLOTS TEXT --include-deferred")
    slots = "any number of slots" if found.slots == -1 else f"{found.slots} slots"
    if name != Pool.DEFAULT_POOL_NAME and not found.include_deferred:
        next_step = f"airflow pools set {name} {found.slots} TEXT --include-deferred"
        return warn(f"{slots}, but a server that is waited for holds none", next_step)
    return ok(slots)


def alive(name: str, job_type: str) -> Finding:
    from airflow.jobs.job import most_recent_job
    from airflow.utils.session import create_session
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with create_session() as session:
            job = most_recent_job(job_type, session=session)
            if job and job.is_alive():
                return ok(f"alive on {job.hostname}")
            seen = f"last seen {job.latest_heartbeat:%Y-%m-%d %H:%M:%S} UTC" if job else "never seen"
    except SQLAlchemyError as error:
        return fail(str(error).splitlines()[0], "mend Airflow's database first")
    return fail(seen, f"start `airflow {name}`; where it ends at once, its log says why")
