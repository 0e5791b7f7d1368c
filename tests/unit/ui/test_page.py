"""The page in the package is the one that its sources make. No Node is needed to know that."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from slipway.ui.page import PAGE

UI = Path(__file__).parents[3] / "ui"
BESIDE = ("package-lock.json", "package.json", "tsconfig.json", "vite.config.ts")


def test_the_built_page_matches_its_sources() -> None:
    """As ``vite.config.ts`` counts it; if not: ``npm ci && npm run build`` in ``ui/``."""
    digest = hashlib.sha256()
    sources = [path for path in (UI / "src").rglob("*") if path.suffix in (".ts", ".tsx")]
    for path in sorted([*sources, *(UI / name for name in BESIDE)], key=lambda path: path.relative_to(UI).as_posix()):
        digest.update(f"{path.relative_to(UI).as_posix()}\n".encode() + path.read_bytes())
    told = re.match(r"/\* Built by Vite from ui/\. Sources: sha256 ([0-9a-f]{64}) ", PAGE.read_text(encoding="utf-8"))
    assert told is not None
    assert told[1] == digest.hexdigest()


def test_react_and_chakra_are_airflows_own() -> None:
    """A copy of React in the bundle could not share anything with Airflow's page."""
    text = PAGE.read_text(encoding="utf-8")
    assert text.rstrip().endswith("(ChakraUI,ReactRouterDOM,React,ReactJSXRuntime);")
    assert len(text) < 200_000
