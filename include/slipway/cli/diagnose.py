"""The cause of a failure from log files that lie here."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from slipway.diagnosis import Source, diagnose
from slipway.diagnosis.find import PROGRAMS
from slipway.errors import SpecError

HERE = "file"


def diagnose_files(arguments: argparse.Namespace) -> int:
    """Name the cause of a failure from log files, or say that it is unknown."""
    texts = {path: _text(path) for path in arguments.files}
    sources = [Source(HERE, program, str(path), text) for path, text in texts.items() for program in PROGRAMS]
    found = diagnose(sources)
    sys.stdout.write(f"{found.text}\n" if found else "cause: unknown: no known signature in these files\n")
    return 0 if found else 1


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise SpecError(f"{path}: {error.strerror}", hint="give log files") from error
