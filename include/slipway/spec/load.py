"""From a deployment file to a :class:`DeploymentSpec`: the only reader of YAML."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from slipway.errors import SpecError
from slipway.spec.explain import explain
from slipway.spec.overrides import Overrides
from slipway.spec.types import HUB, DeploymentSpec

LARGEST_FILE_BYTES = 256 * 1024
DEEPEST = 32
"""How many lists and mappings may lie in one another."""
Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_deployment(path: Path) -> DeploymentSpec:
    """Read one file. Raises :class:`SpecError`, which lists every fault with its field."""
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise SpecError(
                f"{path}: larger than {LARGEST_FILE_BYTES} bytes", hint="a deployment file is a page of text"
            )
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SpecError(f"{path}: {error.strerror}", hint="give the path of a deployment file") from error
    return parse_deployment(text, origin=str(path), base=project_folder(path))


def load_deployments(folder: Path) -> Iterator[DeploymentSpec]:
    """Every deployment file of a folder, by name. The file must bear the deployment's name."""
    for path in sorted(folder.glob("*.yaml")):
        spec = load_deployment(path)
        if spec.name != path.stem:
            raise SpecError(
                f"{path}: name is {spec.name!r}", hint=f"rename the file to {spec.name}.yaml, or set name: {path.stem}"
            )
        yield spec


def project_folder(path: Path) -> Path:
    """The folder that holds ``include/``, which relative paths are taken from; else the file's own."""
    path = path.resolve()
    return next((parent.parent for parent in path.parents if parent.name == "include"), path.parent)


def parse_deployment(text: str, *, origin: str, base: Path) -> DeploymentSpec:
    """Pure part of :func:`load_deployment`; ``origin`` is named in errors."""
    data = _parse_yaml(text, origin)
    try:
        spec = DeploymentSpec.model_validate_json(json.dumps(_anchored(data, base)))
    except ValidationError as error:
        raise SpecError(
            explain(error, DeploymentSpec, origin), hint=f"mend {origin}; docs/deployment-file.md has every field"
        ) from error
    if not spec.root.startswith("/"):
        raise SpecError(f"{origin}: root: {spec.root!r} is not absolute", hint="a host over SSH needs an absolute root")
    return spec


def parse_overrides(
    conf: Mapping[str, Any], spec: DeploymentSpec, model: type[Overrides]
) -> tuple[DeploymentSpec, Overrides]:
    """The file with one run's conf applied, and that conf. Raises :class:`SpecError` with every fault."""
    try:
        overrides = model.model_validate_json(json.dumps(dict(conf)))
        return overrides.apply(spec), overrides
    except ValidationError as error:
        raise SpecError(explain(error, model, "conf"), hint="the trigger form of the DAG lists every key") from error


def canonical(spec: DeploymentSpec) -> str:
    """The spec as JSON that is the same for equal specs."""
    return json.dumps(spec.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def revision_id(spec: DeploymentSpec, lock: str = "") -> str:
    """12 hexadecimal digits that name a spec and the text of its lock file: equal ones have equal ids."""
    return hashlib.sha256(f"{canonical(spec)}\0{lock}".encode()).hexdigest()[:12]


def parse_canonical(text: str) -> DeploymentSpec:
    """The spec back from :func:`canonical`."""
    return DeploymentSpec.model_validate_json(text)


def _parse_yaml(text: str, origin: str) -> dict[str, Any]:
    try:
        _require_plain(text, origin)
        data = yaml.load(text, Loader=Loader)  # noqa: S506 - a safe loader, the fast one where there is one
        json.dumps(data)
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise SpecError(f"{origin}: not YAML that stands for JSON: {error}", hint="mend what it names") from error
    if not isinstance(data, dict):
        raise SpecError(f"{origin}: not a mapping", hint="begin with `version: 1`")
    return data


def _require_plain(text: str, origin: str) -> None:
    """Raises SpecError for what makes much of little text, or could exhaust the loader's stack; nothing is loaded."""
    depth = 0
    for event in yaml.parse(text, Loader=Loader):
        if isinstance(event, yaml.AliasEvent):
            raise SpecError(f"{origin}: YAML aliases are not allowed", hint="write the value out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise SpecError(f"{origin}: nested more than {DEEPEST} deep", hint="no key of the file needs that")


def _anchored(data: dict[str, Any], base: Path) -> dict[str, Any]:
    """Relative paths made absolute: those of the load test, and where every host is this machine those of the hosts."""
    benchmark = data.get("benchmark")
    if isinstance(benchmark, dict):
        data = {**data, "benchmark": _anchored_benchmark(benchmark, base)}
    hosts = data.get("hosts")
    if not isinstance(hosts, list) or any(
        not isinstance(h, dict) or h.get("connection", "local") != "local" for h in hosts
    ):
        return data
    anchored = dict(data)
    if isinstance(data.get("root"), str):
        anchored["root"] = str(base / data["root"])
    weights = data.get("weights")
    if isinstance(weights, dict) and isinstance(weights.get("source"), str) and not weights["source"].startswith(HUB):
        anchored["weights"] = {**weights, "source": str(base / weights["source"])}
    return anchored


def _anchored_benchmark(benchmark: dict[str, Any], base: Path) -> dict[str, Any]:
    anchored = dict(benchmark)
    for name in ("dataset", "ca_file"):
        if isinstance(benchmark.get(name), str):
            anchored[name] = str(base / benchmark[name])
    if isinstance(benchmark.get("levels"), list):
        anchored["levels"] = [_anchored_level(level, base) for level in benchmark["levels"]]
    return anchored


def _anchored_level(level: Any, base: Path) -> Any:
    trace = level.get("trace") if isinstance(level, dict) else None
    if not (isinstance(trace, dict) and isinstance(trace.get("file"), str)):
        return level
    return {**level, "trace": {**trace, "file": str(base / trace["file"])}}
