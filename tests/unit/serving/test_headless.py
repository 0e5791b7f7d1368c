"""The part of a vLLM that serves no API: vLLM's own parser and its own command do it; both are stood in for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

SERVE = """
import argparse, json

class FlexibleArgumentParser(argparse.ArgumentParser):
    pass

def make_arg_parser(parser):
    parser.add_argument("--headless", action="store_true")
    parser.add_argument("--node-rank", type=int, default=0)
    return parser

def validate_parsed_serve_args(parsed):
    if parsed.node_rank > 7:
        raise TypeError("no such rank")

class ServeSubcommand:
    @staticmethod
    def cmd(parsed):
        print(json.dumps(vars(parsed)))
"""


@pytest.fixture
def vllm(site: Path) -> Path:
    folder = site / "vllm" / "entrypoints" / "cli"
    folder.mkdir(parents=True)
    for package in (site / "vllm", site / "vllm" / "entrypoints", folder):
        (package / "__init__.py").touch()
    (folder / "serve.py").write_text(SERVE)
    return site


def test_vllms_own_command_gets_the_arguments(run, vllm: Path) -> None:
    done = run("headless", "--headless", "--node-rank=1")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"headless": True, "node_rank": 1}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--node-rank=1"], "--headless is missing"),
        (["--headless", "--node-rank=8"], "no such rank"),
        (["--headless", "--gone"], "unrecognized arguments: --gone"),
    ],
)
def test_nothing_starts_with_wrong_arguments(run, vllm: Path, arguments: list[str], said: str) -> None:
    done = run("headless", *arguments)
    assert done.returncode != 0
    assert said in done.stderr
    assert done.stdout == ""
