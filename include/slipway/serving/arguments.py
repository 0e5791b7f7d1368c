"""Asks vLLM's own parser about its arguments; run by the serving environment's Python. Nothing is started.

    python arguments.py        < ["--max-model-len", "4096"]    ->  {"ok": true}
    python arguments.py                                         ->  {"ok": false, "error": "...", "argument": "--x"}
    python arguments.py table                                   ->  every argument: {"max-model-len": {...}, ...}

Standard input is a JSON list. ``argument`` is what the error names, null where it names none. Abbreviations, which vLLM
itself takes, are refused: they would pass any list of names. A vLLM for GPUs builds its parser only where it finds one;
elsewhere it does with VLLM_TARGET_DEVICE=cpu in the environment.

In the table, ``type`` is what one value is (bool, int, float, str, json), ``many`` says that several may follow,
``switch`` that the argument may stand alone, ``no`` that it has a ``--no-`` form; ``choices``, ``default`` and
``deprecated`` stand where there are any. A ``str`` may be JSON too where vLLM takes both.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

PARSER_MODULES = (
    "vllm.entrypoints.common.cli_args",  # since 0.33
    "vllm.entrypoints.launchers.cli_args",  # 0.32
    "vllm.entrypoints.openai.cli_args",
)
ARGPARSE_MODULES = ("vllm.utils.argparse_utils", "vllm.utils")
LAUNCHER_MODULES = ("vllm.entrypoints.launchers.launcher", "vllm.entrypoints.openai.api_server")
DEVICE_CHOICES = ("mm-processor-device",)
"""Arguments that take other choices on a machine with another device: the table has none for them."""
NUMBERS = {"human_readable_int": "int", "human_readable_int_or_auto": "int"}


class Refused(Exception):
    """The parser does not take the arguments."""


def check(arguments: list[str]) -> None:
    """Parse, then run the checks that vLLM's server makes before it loads anything.

    Raises Refused: whatever vLLM raises about its arguments is its answer.
    """
    parser = _parser()
    if asked := [word for word in arguments if word.partition("=")[0] in ("-h", "--help")]:
        raise Refused(f"unrecognized arguments: {asked[0]}")
    try:
        parsed = parser.parse_args(arguments)
        _first(PARSER_MODULES).validate_parsed_serve_args(parsed)
        if not getattr(parsed, "tool_parser_plugin", ""):
            _first(LAUNCHER_MODULES).validate_api_server_args(parsed)
    except Refused:
        raise
    except Exception as error:
        raise Refused(f"{type(error).__name__}: {error}") from error


def table() -> dict[str, dict[str, Any]]:
    """Every argument with a long name, by that name without its dashes; ``--no-`` forms are told by ``no``."""
    parser = _parser()
    found = {name: _entry(parser, action, name) for action in parser._actions for name in _names(action)}
    return dict(sorted(found.items()))


def _parser() -> argparse.ArgumentParser:
    flexible = _first(ARGPARSE_MODULES).FlexibleArgumentParser(prog="vllm", allow_abbrev=False)
    parser: argparse.ArgumentParser = _first(PARSER_MODULES).make_arg_parser(flexible)
    parser.error = _refuse  # type: ignore[method-assign]
    return parser


def _refuse(message: str) -> NoReturn:
    raise Refused(message)


def _first(names: tuple[str, ...]) -> Any:
    """The first of these modules that this vLLM has."""
    for name in names[:-1]:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not name.startswith(error.name):
                raise
    return importlib.import_module(names[-1])


def _names(action: argparse.Action) -> Iterator[str]:
    if isinstance(action, argparse._HelpAction):
        return
    for option in action.option_strings:
        if option.startswith("--") and f"--{option.removeprefix('--no-')}" not in action.option_strings:
            yield option[2:]


def _entry(parser: argparse.ArgumentParser, action: argparse.Action, name: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "bool" if action.nargs == 0 else _kind(action.type)}
    if action.nargs in (0, "?"):
        entry["switch"] = True
    if f"--no-{name}" in parser._option_string_actions:
        entry["no"] = True
    if action.nargs in ("+", "*") or isinstance(action, argparse._AppendAction):
        entry["many"] = True
    if action.choices and name not in DEVICE_CHOICES:
        entry["choices"] = sorted((choice for choice in action.choices if choice is not None), key=str)
    if isinstance(action.default, bool):
        entry["default"] = action.default ^ _inverse(action, name)
    elif isinstance(action.default, (int, float, str)) and action.default != argparse.SUPPRESS:
        entry["default"] = action.default
    if action in getattr(parser, "_deprecated", ()):
        entry["deprecated"] = True
    return entry


def _inverse(action: argparse.Action, name: str) -> bool:
    """Whether this name says the opposite of the action's first: ``--disable-x`` beside ``--enable-x``."""
    return f"--{name}" in getattr(action, "negative_option_strings", ())


def _kind(convert: Any) -> str:
    """What a value is, from the function that reads it: vLLM wraps its readers in others, which are looked through."""
    if convert in (int, float):
        return str(convert.__name__)
    if convert is json.loads or "parse_dataclass" in getattr(convert, "__qualname__", ""):
        return "json"
    if (name := getattr(convert, "__name__", "")) in NUMBERS:
        return NUMBERS[name]
    wrapped = [_kind(inner) for inner in _wrapped(convert)]
    return next((kind for kind in wrapped if kind != "str"), "str")


def _wrapped(convert: Any) -> Iterator[Callable[..., Any]]:
    for cell in getattr(convert, "__closure__", None) or ():
        if callable(cell.cell_contents):
            yield cell.cell_contents


def _named(message: str) -> str | None:
    found = re.search(r"--[A-Za-z][\w.-]*", message)
    return found[0] if found else None


def answer(mode: list[str], read: Callable[[], str]) -> str:
    """The text to print. Raises ValueError where the input is no JSON list of strings."""
    if mode == ["table"]:
        lines = (f"{json.dumps(name)}: {json.dumps(entry, sort_keys=True)}" for name, entry in table().items())
        return "{\n" + ",\n".join(lines) + "\n}"
    arguments = json.loads(read())
    if not isinstance(arguments, list) or not all(isinstance(word, str) for word in arguments):
        raise ValueError("standard input must be a JSON list of strings")
    try:
        check(arguments)
    except Refused as refusal:
        return json.dumps({"ok": False, "error": str(refusal), "argument": _named(str(refusal))})
    return json.dumps({"ok": True})


def main() -> None:
    """vLLM logs to standard output: it gets standard error in its place, so that only the answer is printed."""
    output = os.dup(1)
    os.dup2(2, 1)
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    text = answer(sys.argv[1:], sys.stdin.read)
    os.write(output, text.encode() + b"\n")


if __name__ == "__main__":
    main()
