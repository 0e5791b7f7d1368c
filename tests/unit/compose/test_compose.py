"""docker-compose.yaml against the Compose specification, and against what Airflow, the image and this project know."""

from __future__ import annotations

import importlib
import ipaddress
import json
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from slipway.provider import get_provider_info
from slipway.spec import load_deployment

ROOT = Path(__file__).parents[3]
SPECIFICATION = json.loads((Path(__file__).parent / "compose-spec.json").read_text())
OPTION = re.compile(r"AIRFLOW__(?P<section>[A-Z_]+?)__(?P<name>[A-Z_]+?)(?P<command>_CMD)?")
POSTGRES_VARIABLES = {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD_FILE"}
"""Those that the entry point of PostgreSQL's official image reads."""


@pytest.fixture(scope="module")
def options() -> dict[str, Any]:
    """Every option that Airflow and Slipway describe, by section and name."""
    from airflow.configuration import retrieve_configuration_description
    from airflow.providers.celery.get_provider_info import get_provider_info as get_celery_info

    sections = retrieve_configuration_description(include_providers=False)
    sections |= get_provider_info()["config"] | get_celery_info()["config"]
    return {
        f"{section}.{name}": option for section, each in sections.items() for name, option in each["options"].items()
    }


class TestTheFile:
    def test_it_fits_the_specification(self, compose: Any) -> None:
        jsonschema.Draft7Validator.check_schema(SPECIFICATION)
        jsonschema.Draft7Validator(SPECIFICATION).validate(compose.content)

    def test_the_schema_would_find_a_wrong_key(self) -> None:
        wrong = {"services": {"a": {"image": "a:1.0", "helthcheck": {}}}}
        with pytest.raises(jsonschema.ValidationError, match="helthcheck"):
            jsonschema.Draft7Validator(SPECIFICATION).validate(wrong)

    def test_services_wait_for_services_that_are_there(self, compose: Any) -> None:
        for service in compose.services.values():
            for name, wanted in service.get("depends_on", {}).items():
                ends = compose.services[name]["restart"] == "no"
                assert wanted["condition"] == ("service_completed_successfully" if ends else "service_healthy")
                assert ends or "healthcheck" in compose.services[name]

    def test_secrets_configs_and_volumes_are_declared_and_used(self, compose: Any) -> None:
        for kind in ("secrets", "configs", "volumes", "networks"):
            used = [entry for service in compose.services.values() for entry in service.get(kind, [])]
            names = {_source(entry) for entry in used}
            assert {name for name in names if not name.startswith("./")} == set(compose.content[kind])

    def test_every_variable_is_explained(self, compose: Any) -> None:
        page = (ROOT / "docs" / "operations.md").read_text()
        assert compose.defaults
        for name, default in compose.defaults.items():
            assert f"`{name}` | `{default}`" in page


class TestTheServices:
    def test_images_are_pinned(self, compose: Any) -> None:
        from slipway import __version__

        assert {service["image"] for service in compose.airflow.values()} == {f"slipway:{__version__}"}
        assert {service["image"] for service in compose.hosts.values()} == {f"slipway-host:{__version__}"}
        for service in compose.services.values():
            assert re.fullmatch(r"[a-z/-]+:v?\d+(\.\d+)+(-bookworm)?", service["image"])

    def test_what_starts_by_itself_is_airflow_and_its_database(self, compose: Any) -> None:
        profiles: dict[str, set[str]] = {}
        for name, service in compose.services.items():
            for profile in service.get("profiles", [""]):
                profiles.setdefault(profile, set()).add(name)
        assert profiles == {
            "": {"postgres", "airflow-init", "api-server", "scheduler", "dag-processor", "triggerer"},
            "celery": {"redis", "worker"},
            "load": {"redis", "load-worker"},
            "rehearsal": {"host-one", "host-two", "rehearsal-init"},
            "router": {"router"},
        }

    def test_every_one_that_lasts_is_watched_and_started_again(self, compose: Any) -> None:
        assert set(compose.services) - set(compose.lasting) == {"airflow-init", "rehearsal-init"}
        for service in compose.lasting.values():
            assert service["restart"] == "unless-stopped"
            assert set(service["healthcheck"]) == {"test", "interval", "timeout", "retries", "start_period"}

    def test_each_has_limits_and_no_privilege(self, compose: Any) -> None:
        for service in compose.services.values():
            assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
            assert service["cap_drop"] == ["ALL"]
            assert service["security_opt"] == ["no-new-privileges:true"]
            assert not {"privileged", "cap_add", "network_mode", "pid", "devices"} & set(service)

    def test_none_runs_as_root(self, compose: Any) -> None:
        """The images of this project say so themselves."""
        given = {name: service.get("user") for name, service in compose.services.items()}
        own = dict.fromkeys((*compose.airflow, *compose.hosts))
        assert given == {**own, "postgres": "postgres", "redis": "redis", "router": "10001"}

    def test_all_are_on_the_one_network(self, compose: Any) -> None:
        assert all(set(service["networks"]) == {"slipway"} for service in compose.services.values())

    def test_two_are_reached_from_outside_and_by_default_from_this_machine_alone(self, compose: Any) -> None:
        published = {name: service["ports"] for name, service in compose.services.items() if "ports" in service}
        port = compose.services["api-server"]["environment"]["AIRFLOW__API__PORT"]
        assert published == {"api-server": [f"127.0.0.1:8080:{port}"], "router": ["127.0.0.1:8090:8080"]}

    def test_folders_of_this_project_are_there_and_read_only(self, compose: Any) -> None:
        for service in compose.airflow.values():
            mounts = [volume.split(":") for volume in service["volumes"]]
            bound = {source: (target, mode) for source, target, *mode in mounts if source.startswith("./")}
            assert set(bound) == {"./dags", "./plugins", "./include/deployments", "./include/environments"}
            for source, (target, mode) in bound.items():
                assert (ROOT / source).is_dir()
                assert (target, mode) == (f"/opt/slipway/{source[2:]}", ["ro"])


class TestTheRehearsal:
    def test_the_hosts_are_those_of_the_example(self, compose: Any) -> None:
        spec = load_deployment(ROOT / "docs" / "examples" / "two-hosts.yaml")
        addresses = [service["networks"]["slipway"]["ipv4_address"] for service in compose.hosts.values()]
        assert [host.address for host in spec.hosts] == addresses
        for service in compose.hosts.values():
            disk, model = (volume.split(":") for volume in service["volumes"])
            assert spec.root.startswith(f"{disk[1]}/")
            assert spec.weights.source.startswith(f"{model[1]}/")
            assert (model[0], model[2]) == ("./.slipway/shared", "ro")

    def test_no_other_container_is_given_their_addresses(self, compose: Any) -> None:
        (config,) = compose.content["networks"]["slipway"]["ipam"]["config"]
        subnet, given = ipaddress.ip_network(config["subnet"]), ipaddress.ip_network(config["ip_range"])
        assert given.subnet_of(subnet)
        fixed = [service["networks"]["slipway"]["ipv4_address"] for service in compose.hosts.values()]
        assert all(ipaddress.ip_address(each) in subnet and ipaddress.ip_address(each) not in given for each in fixed)
        assert compose.services["router"]["environment"] == {"WORKER_URLS": f"http://{fixed[0]}:8000"}

    def test_the_ranks_on_both_share_one_memory(self, compose: Any) -> None:
        assert [service["ipc"] for service in compose.hosts.values()] == ["shareable", "service:host-one"]

    def test_sshd_starts_as_the_image_has_it(self, compose: Any) -> None:
        dockerfile = (ROOT / "deploy" / "host" / "Dockerfile").read_text()
        config = dict(line.split(maxsplit=1) for line in _host_config() if not line.startswith("#"))
        for service in compose.hosts.values():
            assert service["build"] == {"context": "deploy/host"}
            install, sshd = _lines(service["command"])
            assert install[:3] == ["install", "--mode", "0600"]
            assert install[4] == config["HostKey"]
            assert f"COPY sshd_config {sshd[-1]}\n" in dockerfile
            assert config["Port"] in service["healthcheck"]["test"]
        assert "\nUSER slipway\n" in dockerfile


class TestTheRouter:
    def test_it_knows_each_argument(self, compose: Any) -> None:
        """As its own help says, of the very version that is pinned."""
        image = compose.services["router"]["image"]
        said = (ROOT / "tests" / "data" / f"vllm-router-{image.partition(':v')[2]}" / "help.txt").read_text()
        (line,) = _lines(compose.services["router"]["command"])
        assert line[:2] == ["exec", "vllm-router"]
        options = [word for word in line if word.startswith("--")]
        assert options == ["--host", "--port", "--policy", "--worker-urls"]
        assert all(f"[{option} " in said for option in options)
        assert line[line.index("--policy") + 1] in said[said.index("--policy {") :].partition("}")[0]

    def test_it_listens_where_its_port_is_published_and_asked(self, compose: Any) -> None:
        service = compose.services["router"]
        (line,) = _lines(service["command"])
        port = line[line.index("--port") + 1]
        assert service["ports"][0].endswith(f":{port}")
        assert f":{port}/health" in service["healthcheck"]["test"][-1]


class TestTheOptions:
    def test_airflow_knows_each_of_them(self, compose: Any, options: dict[str, Any]) -> None:
        for service in compose.airflow.values():
            assert service["environment"]
            for variable, value in service["environment"].items():
                found = OPTION.fullmatch(variable)
                assert found, variable
                option = options[f"{found['section']}.{found['name']}".lower()]
                assert bool(found["command"]) == bool(option.get("sensitive")), variable
                _require_type(value, option["type"])

    def test_postgres_knows_its_own(self, compose: Any) -> None:
        assert set(compose.services["postgres"]["environment"]) == POSTGRES_VARIABLES

    def test_paths_are_those_of_the_mounts(self, compose: Any) -> None:
        for service in compose.airflow.values():
            given = {name: value for name, value in service["environment"].items() if value.startswith("/")}
            assert given == {
                "AIRFLOW__CORE__DAGS_FOLDER": "/opt/slipway/dags",
                "AIRFLOW__CORE__PLUGINS_FOLDER": "/opt/slipway/plugins",
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": "/var/lib/airflow/passwords.json",
                "AIRFLOW__SLIPWAY__DEPLOYMENTS_FOLDER": "/opt/slipway/include/deployments",
            }
            assert "airflow:/var/lib/airflow" in service["volumes"]

    def test_tasks_find_the_api_server_by_its_name_and_port(self, compose: Any) -> None:
        for service in compose.airflow.values():
            given = service["environment"]
            assert given["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == (
                f"http://api-server:{given['AIRFLOW__API__PORT']}/execution/"
            )
        assert "api-server" in compose.services


class TestTheCommands:
    def test_airflow_knows_each_of_them(self, compose: Any) -> None:
        from airflow.cli.cli_parser import get_parser

        lines = [line for service in compose.airflow.values() for line in _airflow_lines(service)]
        verbs = {"db", "connections", "api-server", "scheduler", "dag-processor", "triggerer", "celery", "jobs"}
        assert {line[1] for line in lines} == verbs
        for _airflow, *arguments in lines:
            get_parser().parse_args(arguments)

    def test_every_part_is_asked_for_its_own_job(self, compose: Any) -> None:
        asked = {
            name: service["healthcheck"]["test"][5]
            for name, service in compose.lasting.items()
            if service["healthcheck"]["test"][1] == "airflow"
        }
        assert asked == {
            "scheduler": "SchedulerJob",
            "dag-processor": "DagProcessorJob",
            "triggerer": "TriggererJob",
        }

    def test_the_passwords_go_where_airflow_looks_for_them(self, compose: Any) -> None:
        service = compose.services["airflow-init"]
        (line,) = [line for line in _lines(service["command"]) if line[0] == "install"]
        target = service["environment"]["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"]
        assert line == ["install", "--mode", "0600", "/run/secrets/airflow_passwords.json", target]

    def test_a_worker_is_asked_by_celery_itself(self, compose: Any) -> None:
        kind, line = compose.services["worker"]["healthcheck"]["test"]
        assert compose.services["load-worker"]["healthcheck"]["test"] == [kind, line]
        words = shlex.split(line)
        module, _dot, name = words[2].rpartition(".")
        assert (kind, words[:2], words[3:5]) == ("CMD-SHELL", ["celery", "--app"], ["inspect", "ping"])
        assert hasattr(importlib.import_module(module), name)

    def test_postgres_is_asked_by_the_network_for_its_own_database(self, compose: Any) -> None:
        """Its entry point answers on the socket already while it makes the databases."""
        service = compose.services["postgres"]
        _cmd, program, *arguments = service["healthcheck"]["test"]
        assert (program, arguments) == (
            "pg_isready",
            [
                "--host=127.0.0.1",
                f"--username={service['environment']['POSTGRES_USER']}",
                f"--dbname={service['environment']['POSTGRES_DB']}",
            ],
        )

    @pytest.mark.parametrize(("code", "healthy"), [(200, True), (503, False)])
    def test_the_api_servers_check_tells_a_sick_one(self, compose: Any, code: int, healthy: bool) -> None:
        service = compose.services["api-server"]
        _cmd, python, *arguments = service["healthcheck"]["test"]
        assert python == "python"
        with _answering(code) as (port, asked):
            address = f"127.0.0.1:{service['environment']['AIRFLOW__API__PORT']}/"
            here = [argument.replace(address, f"127.0.0.1:{port}/") for argument in arguments]
            ended = subprocess.run([sys.executable, *here], capture_output=True, timeout=30, check=False)
        assert asked == ["/api/v2/monitor/health"]
        assert (ended.returncode == 0) == healthy


def _source(entry: Any) -> str:
    source: str = entry["source"] if isinstance(entry, dict) else entry.partition(":")[0]
    return source


def _host_config() -> list[str]:
    return (ROOT / "deploy" / "host" / "sshd_config").read_text().splitlines()


def _require_type(value: str, kind: str) -> None:
    if kind == "boolean":
        assert value in {"True", "False"}
    if kind == "integer":
        assert value.isdigit()


def _airflow_lines(service: dict[str, Any]) -> list[list[str]]:
    check = service.get("healthcheck", {}).get("test", ["CMD"])
    return [line for line in [*_lines(service["command"]), check[1:]] if line[:1] == ["airflow"]]


def _lines(command: Sequence[str]) -> list[list[str]]:
    """The command lines of a command: itself, or those of the script that it hands a shell."""
    if command[0] != "sh":
        return [list(command)]
    assert command[1] == "-euc"
    return [shlex.split(line) for line in command[2].splitlines()]


@contextmanager
def _answering(code: int) -> Iterator[tuple[int, list[str]]]:
    """A server that answers every GET with ``code``: its port, and the paths that were asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(code)
            self.end_headers()

        def log_message(self, *_args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_port, asked
        finally:
            server.shutdown()
            thread.join()
