"""Results of ``vllm bench serve``, guidellm and aiperf as cells. Each tool is told by its own fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slipway.errors import SpecError
from slipway.results import aiperf, guidellm, vllm_bench
from slipway.results.measurement import Measurement


def imported(result: Any) -> list[Measurement]:
    """The cells of a result, suspect all of them. Raises SpecError where it is none of these, or not whole."""
    if isinstance(result, Mapping):
        if "benchmarks" in result:
            return guidellm.imported(result)
        if "input_config" in result:
            return [aiperf.imported(result)]
        if "total_input_tokens" in result:
            return [vllm_bench.imported(result)]
    hint = "give the JSON file of vllm bench serve, guidellm or aiperf (profile_export_aiperf.json)"
    raise SpecError("no result of a known tool", hint=hint)
