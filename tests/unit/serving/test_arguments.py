"""The answers of vLLM's parser, and the table of its arguments. The parser is a stand-in of vLLM's kind.

The tables in ``include/environments`` were made by the real ones.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ARGPARSE_UTILS = """
import argparse

class FlexibleArgumentParser(argparse.ArgumentParser):
    def __init__(self, **options):
        super().__init__(**options)
        self._deprecated = set()
"""
CLI_ARGS = """
import argparse, json

def human_readable_int(text):
    return int(text.removesuffix("k")) * (1000 if text.endswith("k") else 1)

def optional_type(read):
    def _optional_type(text):
        return None if text == "None" else read(text)
    return _optional_type

def make_dataclass_reader():
    def parse_dataclass(text):
        return json.loads(text)
    return parse_dataclass

class EnableDisable(argparse.BooleanOptionalAction):
    def __init__(self, option_strings, dest, **options):
        super().__init__(option_strings, dest, **options)
        self.option_strings = [*self.option_strings, "--disable-lora"]
        self.negative_option_strings = {"--no-enable-lora", "--disable-lora"}

def make_arg_parser(parser):
    print("vLLM says something on standard output")
    parser.add_argument("model_tag", nargs="?")
    parser.add_argument("--model", default="some/model")
    parser.add_argument("--max-model-len", type=optional_type(human_readable_int))
    parser.add_argument("--gpu-memory-utilization", type=float, default=0.92)
    parser.add_argument("--dtype", choices=["half", "auto", None], default="auto")
    parser.add_argument("--compilation-config", "-cc", type=optional_type(make_dataclass_reader()))
    parser.add_argument("--allowed-origins", type=json.loads, default=["*"])
    parser.add_argument("--served-model-name", nargs="+", type=optional_type(str))
    parser.add_argument("--middleware", action="append", default=[])
    parser.add_argument("--hf-token", nargs="?", const=True)
    parser.add_argument("--enforce-eager", action=argparse.BooleanOptionalAction, default=False)
    parser.add_argument("--enable-lora", action=EnableDisable, default=False)
    parser._deprecated.add(parser.add_argument("--headless", action="store_true"))
    parser.add_argument("--mm-processor-device", choices=["auto", "cpu"], default="auto")
    parser.add_argument("--tool-parser-plugin", default="")
    return parser

class VLLMValidationError(Exception):
    pass

def validate_parsed_serve_args(args):
    if args.model == "/bad":
        raise VLLMValidationError("--model does not fit")
"""
LAUNCHER = """
def validate_api_server_args(args):
    if args.model == "/tool":
        raise KeyError("invalid tool call parser")
"""


@pytest.fixture(params=["entrypoints/common", "entrypoints/launchers", "entrypoints/openai"])
def vllm(site: Path, request: pytest.FixtureRequest) -> Path:
    """A vLLM of each time: its parser was moved twice."""
    for folder in ("utils", "entrypoints/launchers", request.param):
        (site / "vllm" / folder).mkdir(parents=True, exist_ok=True)
    (site / "vllm" / "utils" / "argparse_utils.py").write_text(ARGPARSE_UTILS)
    (site / "vllm" / request.param / "cli_args.py").write_text(CLI_ARGS)
    (site / "vllm" / "entrypoints" / "launchers" / "launcher.py").write_text(LAUNCHER)
    return site / "vllm"


def ask(run, *words: str) -> dict[str, object]:
    done = run("arguments", stdin=json.dumps(words))
    assert done.returncode == 0, done.stderr
    assert "vLLM says something" in done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def test_good_arguments_are_taken(run, vllm: Path) -> None:
    assert ask(run, "--model=/x", "--max-model-len=40k", "--no-enforce-eager", "--dtype", "half") == {"ok": True}


@pytest.mark.parametrize(
    ("words", "error", "argument"),
    [
        (("--swap-space", "32"), "unrecognized arguments: --swap-space", "--swap-space"),
        (("--dtype=fp4",), "argument --dtype: invalid choice: 'fp4'", "--dtype"),
        (("--gpu-memory-utilization=much",), "invalid float value: 'much'", "--gpu-memory-utilization"),
        (("--middlew=os.system",), "unrecognized arguments: --middlew=os.system", "--middlew"),
        (("--help",), "unrecognized arguments: --help", "--help"),
        (("--model=/bad",), "VLLMValidationError: --model does not fit", "--model"),
        (("--model=/tool",), "invalid tool call parser", None),
    ],
)
def test_bad_arguments_are_refused_by_name(
    run, vllm: Path, words: tuple[str, ...], error: str, argument: str | None
) -> None:
    answer = ask(run, *words)
    assert (answer["ok"], answer["argument"]) == (False, argument)
    assert error in str(answer["error"])


def test_the_table_tells_what_each_argument_takes(run, vllm: Path) -> None:
    done = run("arguments", "table")
    assert json.loads(done.stdout) == {
        "allowed-origins": {"type": "json"},
        "compilation-config": {"type": "json"},
        "disable-lora": {"type": "bool", "switch": True, "default": True},
        "dtype": {"type": "str", "choices": ["auto", "half"], "default": "auto"},
        "enable-lora": {"type": "bool", "switch": True, "no": True, "default": False},
        "enforce-eager": {"type": "bool", "switch": True, "no": True, "default": False},
        "gpu-memory-utilization": {"type": "float", "default": 0.92},
        "headless": {"type": "bool", "switch": True, "default": False, "deprecated": True},
        "hf-token": {"type": "str", "switch": True},
        "max-model-len": {"type": "int"},
        "middleware": {"type": "str", "many": True},
        "mm-processor-device": {"type": "str", "default": "auto"},
        "model": {"type": "str", "default": "some/model"},
        "served-model-name": {"type": "str", "many": True},
        "tool-parser-plugin": {"type": "str", "default": ""},
    }


def test_a_vllm_that_cannot_be_imported_is_not_taken_for_a_refusal(run, vllm: Path) -> None:
    (vllm / "utils" / "argparse_utils.py").write_text("import a_module_that_is_not_there")
    done = run("arguments", stdin="[]")
    assert (done.returncode, done.stdout) == (1, "")
    assert "a_module_that_is_not_there" in done.stderr


@pytest.mark.parametrize("wrong", ["{}", "[1]", "nonsense"])
def test_input_that_is_no_list_of_words_is_an_error(run, vllm: Path, wrong: str) -> None:
    done = run("arguments", stdin=wrong)
    assert (done.returncode, done.stdout) == (1, "")
