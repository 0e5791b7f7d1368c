"""Subcommands about deployment files; no host is touched."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from slipway.errors import SpecError
from slipway.spec import DeploymentSpec, load_deployment
from slipway.spec.environments import argument_faults, environments_folder, lm_eval_faults, load_lock
from slipway.spec.reference import reference

DEPLOYMENT_PAGE = "deployment-file.md"


def check(arguments: argparse.Namespace) -> int:
    """Say what is wrong with deployment files."""
    faults = []
    for path in arguments.files:
        spec, lock, folder = loaded(path)
        found = [f"{path}: {fault}" for fault in (*argument_faults(folder, spec, lock), *lm_eval_faults(spec, lock))]
        hosts = "1 host" if len(spec.hosts) == 1 else f"{len(spec.hosts)} hosts"
        if not found:
            sys.stdout.write(f"{path}: nothing wrong: {hosts}, {spec.gpus} GPUs, serves {spec.serve.model_name}\n")
        faults += found
    if faults:
        raise SpecError("\n".join(faults), hint="mend there what each names")
    return 0


def plan(arguments: argparse.Namespace) -> int:
    """Print every command that would run on bare hosts, quoted as it would be sent. Nothing is run."""
    from slipway.stages.planned import planned

    spec, lock, _ = loaded(arguments.file)
    for stage, action in planned(spec, lock):
        sys.stdout.write(f"# {stage} on {action.host}: {action.why}\n")
        for command in action.starts:
            sys.stdout.write(f"#   the agent there runs: {command.line()}\n")
        sys.stdout.write(f"{action.command.text()}\n\n")
    return 0


def schema(_: argparse.Namespace) -> int:
    """Print the deployment file's JSON schema, for editors."""
    sys.stdout.write(json.dumps(DeploymentSpec.model_json_schema(), indent=2, ensure_ascii=False) + "\n")
    return 0


def docs(arguments: argparse.Namespace) -> int:
    """Write the pages of docs/ that are made from the code."""
    (arguments.folder / DEPLOYMENT_PAGE).write_text(reference(), encoding="utf-8")
    return 0


def loaded(path: Path) -> tuple[DeploymentSpec, str, Path]:
    spec = load_deployment(path)
    folder = environments_folder(path.resolve().parent)
    return spec, load_lock(folder, spec), folder
