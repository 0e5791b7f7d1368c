"""The deployment file: its types, and the only reader of YAML."""

from slipway.spec.beside import HostSpec
from slipway.spec.judging import Level
from slipway.spec.layout import Layout
from slipway.spec.load import (
    canonical,
    load_deployment,
    load_deployments,
    parse_canonical,
    parse_deployment,
    parse_overrides,
    revision_id,
)
from slipway.spec.overrides import (
    BenchmarkOverrides,
    DeployOverrides,
    Overrides,
    PreflightOverrides,
    SweepOverrides,
    TeardownOverrides,
)
from slipway.spec.types import DeploymentSpec

__all__ = [
    "BenchmarkOverrides",
    "DeployOverrides",
    "DeploymentSpec",
    "HostSpec",
    "Layout",
    "Level",
    "Overrides",
    "PreflightOverrides",
    "SweepOverrides",
    "TeardownOverrides",
    "canonical",
    "load_deployment",
    "load_deployments",
    "parse_canonical",
    "parse_deployment",
    "parse_overrides",
    "revision_id",
]
