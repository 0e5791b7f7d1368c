"""The same server and plans as in the unit tests of the load generator."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_PATH = Path(__file__).parents[2] / "unit" / "loadgen" / "conftest.py"
_SPEC = importlib.util.spec_from_file_location("loadgen_fixtures", _PATH)
assert _SPEC is not None
assert _SPEC.loader is not None
_FIXTURES = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = _FIXTURES
_SPEC.loader.exec_module(_FIXTURES)

serve, plan_for, wire = _FIXTURES.serve, _FIXTURES.plan_for, _FIXTURES.wire
ca_file, tls = _FIXTURES.ca_file, _FIXTURES.tls
