"""The door of the kit: ``python3 KIT PROGRAM VERB``, a JSON object on standard input, one on standard output."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Sequence
from typing import Any

from slipway.remote.refusal import Refused
from slipway.remote.request import load_request

PROGRAMS = {
    "agent": "agent.verbs",
    "evidence": "evidence.verbs",
    "files": "files",
    "models": "weights.models",
    "probe": "probe.verbs",
    "stage": "weights.verbs",
}
"""By its name: the module that holds a program's verbs."""

REFUSED = 3
"""The exit code of an expected failure."""


def main(argv: Sequence[str]) -> int:
    """Answer one call and give its exit code: 0, or 3 where it was refused. A fault of the program itself raises."""
    try:
        answer = _answer(argv)
    except Refused as refused:
        return _say({"error": str(refused), "hint": refused.hint}, REFUSED)
    except OSError as error:
        place = f"{error.filename}: " if error.filename is not None else ""
        return _say({"error": f"{place}{error.strerror or error}", "hint": ""}, REFUSED)
    except UnicodeError as error:
        return _say({"error": f"a name that this locale cannot hold: {error}", "hint": "set LANG=C.UTF-8"}, REFUSED)
    return 0 if answer is None else _say(answer, 0)


def _answer(argv: Sequence[str]) -> dict[str, Any] | None:
    program = argv[0] if argv else ""
    if program not in PROGRAMS:
        raise Refused(f"no program {program!r}; known are {', '.join(PROGRAMS)}")
    verbs = importlib.import_module(f"slipway.remote.{PROGRAMS[program]}").VERBS
    verb = argv[1] if len(argv) > 1 else ""
    if verb not in verbs:
        raise Refused(f"{program}: no verb {verb!r}; known are {', '.join(sorted(verbs))}")
    answer: dict[str, Any] | None = verbs[verb](load_request(sys.stdin.buffer))
    return answer


def _say(answer: dict[str, Any], code: int) -> int:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
