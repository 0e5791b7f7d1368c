"""The DAGs of a deployment over two hosts, through Airflow and its SSH connections. One test builds on another."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from testbed.project import Project, changed
from two_hosts.conftest import open_bed_project

from slipway.facts.role import RoleState
from slipway.facts.role import roles as roles_of
from slipway.hosts import on_each
from slipway.shell import Command

OTHER = {
    "name: pair": "name: other",
    "  object_store_bytes: 104857600": "  object_store_bytes: 104857600\n"
    "  ports: {gcs: 16379, dashboard: 18265, block: 21000, workers: 21100}",
    "  host: 0.0.0.0": "  port: 9000\n  host: 0.0.0.0",
}
"""A second deployment on the same hosts: another name, other ports."""


@pytest.fixture(scope="module")
def project(bed, opened, deployment, tmp_path_factory) -> Iterator[Project]:
    """A project whose Airflow knows the hosts' connections."""
    with open_bed_project(bed, tmp_path_factory.mktemp("pair"), "pair", 27180, deployment) as made:
        yield made


def run(project: Project, name: str, job: str = "deploy") -> str:
    done = project.slipway("up", str(project.file.with_name(f"{name}.yaml")), "--job", job)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def roles(opened) -> dict[str, list[str]]:
    with opened() as site:
        found = on_each(site.hosts.values(), lambda host: host.run(Command(("ls", f"{site.root}/agents"))))
    return {name: result.stdout.split() for name, result in found.items()}


def served(opened) -> list[RoleState]:
    """What runs on both hosts."""
    with opened() as site:
        found = on_each(site.hosts.values(), lambda host: roles_of(host, site.root))
    return [state for states in found.values() for state in states if state.alive]


def test_one_dag_run_takes_two_hosts_to_a_verdict(project):
    run(project, "pair")
    assert {name for name, actions in project.acting().items() if actions} == {"weights", "ray_cluster", "serve"}
    made = project.last_run()
    assert (made.state, set(made.snapshot["hosts"])) == ("success", {"one", "two"})
    assert made.verdict in ("not enough history", "invalid")  # so few cores for two hosts and their load
    assert {cell.measurement.users for cell in project.store().cells(made.id)} == {1, 2}


@pytest.mark.slow
def test_another_deployment_comes_and_goes_on_the_same_hosts_and_leaves_this_one_alone(project, deployment, opened):
    before = served(opened)
    project.add("other", changed(deployment, OTHER))
    run(project, "other")
    assert project.last_run("other").state == "success"
    run(project, "other", "teardown")
    assert "pair.vllm" in {state.role for state in before}
    assert served(opened) == before


def test_the_teardown_dag_leaves_nothing_on_either_host(project, opened, bed):
    run(project, "pair", "teardown")
    for name in bed.told["hosts"]:
        assert [line for line in bed.pids(name).values() if not line.startswith("sshd")] == []
    assert not any("ray" in role or "vllm" in role for names in roles(opened).values() for role in names)
