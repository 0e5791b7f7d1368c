"""Capture the corpus: provoke faults, or start what is well, and keep what the programs said.

PYTHONPATH=include:tests .slipway/venv/bin/python -m faults.capture PYTHON [NAME...]
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from faults.bed import ROOT, Bed, scrubbed
from faults.provoked import FAULTS, HEALTHY, STARTED, Fault

from slipway.commands import agent

FOLDERS = {"vllm": "vllm-0.32.0", "ray-head": "ray-2.60.0"}


def main(python: str, *names: str) -> int:
    root = Path(f"/tmp/slipway-faults-{os.getpid()}")
    known = [*HEALTHY, *FAULTS]
    chosen = [fault for fault in known if not names or fault.name in names]
    beds = [Bed(root, python, fault.name, 20000 + 100 * known.index(fault)) for fault in chosen]
    with ThreadPoolExecutor(2) as pool:
        return sum(pool.map(captured, chosen, beds))


def captured(fault: Fault, bed: Bed) -> int:
    """0, or 1 where the program did not do in time what it should: then nothing is kept."""
    began, kind = time.monotonic(), "healthy" if fault in HEALTHY else "failures"
    folder = ROOT / "tests" / "data" / FOLDERS[fault.program] / kind
    folder.mkdir(parents=True, exist_ok=True)
    with bed.opened():
        try:
            live(fault, bed) if kind == "healthy" else fault.provoke(bed)
        except AssertionError as error:
            print(f"{fault.name}: NOT CAPTURED: {error}\n{bed.log(fault.program)[-1500:]}", flush=True)
            return 1
        (folder / f"{fault.name}.log").write_text(scrubbed(bed.log(fault.program), bed))
    print(f"{fault.name}: {time.monotonic() - began:.0f} s", flush=True)
    return 0


def live(fault: Fault, bed: Bed) -> None:
    """Started, and stopped as Slipway stops it."""
    bed.start(fault.program, fault.command(bed))
    bed.wait_for_log(fault.program, STARTED[fault.program])
    bed.host.run(agent.stop(str(bed.root), f"{bed.name}.{fault.program}"))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
