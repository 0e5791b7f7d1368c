from __future__ import annotations

import os
import stat
from configparser import ConfigParser
from pathlib import Path

import pytest

from slipway.embedded.settings import Settings, config_text, environment, load_settings
from slipway.errors import SlipwayError


def parsed(settings: Settings) -> ConfigParser:
    parser = ConfigParser()
    parser.read_string(config_text(settings))
    return parser


def test_the_port_moves_everything_that_names_it(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, {"SLIPWAY_AIRFLOW_PORT": "18080"})
    config = parsed(settings)
    assert settings.login().url == "http://127.0.0.1:18080"
    assert (config["api"]["port"], config["api"]["base_url"]) == ("18080", "http://127.0.0.1:18080")
    assert config["core"]["execution_api_server_url"] == "http://127.0.0.1:18080/execution/"


@pytest.mark.parametrize("text", ["", "80", "70000", "web", "8080 ", "-1", "٨٠٨٠"])
def test_a_port_that_is_none_is_refused_by_the_name_of_its_setting(tmp_path: Path, text: str) -> None:
    with pytest.raises(SlipwayError, match="SLIPWAY_AIRFLOW_PORT"):
        load_settings(tmp_path, {"SLIPWAY_AIRFLOW_PORT": text})


def test_airflow_listens_on_this_machine_alone_and_serves_no_examples(tmp_path: Path) -> None:
    config = parsed(Settings(tmp_path))
    assert config["api"]["host"] == "127.0.0.1"
    assert config["scheduler"]["enable_health_check"] == "False"
    assert config["core"]["load_examples"] == "False"


def test_secrets_are_made_once_and_are_the_users_alone(tmp_path: Path) -> None:
    settings = Settings(tmp_path)
    assert (config_text(settings), settings.login()) == (config_text(settings), settings.login())
    assert parsed(settings)["api_auth"]["jwt_secret"] != parsed(Settings(tmp_path / "other"))["api_auth"]["jwt_secret"]
    files = [path for path in settings.home.iterdir() if path.is_file()]
    assert {path.name for path in files} == {"passwords.json", "secrets.json"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE(settings.home.stat().st_mode) == 0o700


def test_a_folder_with_a_percent_sign_is_kept_as_it_is(tmp_path: Path) -> None:
    odd = tmp_path / "50%done"
    assert parsed(Settings(odd))["core"]["dags_folder"] == str(odd / "dags")


def test_no_secret_is_in_the_environment(tmp_path: Path) -> None:
    settings = Settings(tmp_path)
    env = " ".join(environment(settings).values())
    config = parsed(settings)
    for secret in (config["api_auth"]["jwt_secret"], config["core"]["fernet_key"], settings.login().password):
        assert secret not in env


@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_no_proxy_stands_between_the_parts(tmp_path: Path, name: str) -> None:
    env = environment(Settings(tmp_path), {name: "example.org"})
    assert env["no_proxy"] == env["NO_PROXY"] == "example.org,127.0.0.1,localhost"


@pytest.mark.parametrize("change", ["plugin", "requirements", "port"])
def test_the_digest_changes_with_what_a_running_part_has_read_for_good(tmp_path: Path, change: str) -> None:
    settings = Settings(tmp_path)
    (tmp_path / "plugins").mkdir()
    before = environment(settings)["SLIPWAY_AIRFLOW_DIGEST"]
    assert environment(settings)["SLIPWAY_AIRFLOW_DIGEST"] == before
    if change == "plugin":
        (tmp_path / "plugins" / "page.py").write_text("TITLE = 'results'\n")
    elif change == "requirements":
        (tmp_path / "requirements.txt").write_text("apache-airflow==3.3.2\n")
    else:
        settings = Settings(tmp_path, port=18080)
    assert environment(settings)["SLIPWAY_AIRFLOW_DIGEST"] != before


def test_variables_of_another_airflow_are_not_handed_on(tmp_path: Path) -> None:
    env = environment(
        Settings(tmp_path), {**os.environ, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://production"}
    )
    assert [name for name in env if name.startswith("AIRFLOW")] == ["AIRFLOW_HOME"]
