"""The page itself: one file that Vite has built from ``ui/``, which the browser imports."""

from __future__ import annotations

from pathlib import Path

PAGE = Path(__file__).with_name("static") / "page.js"
