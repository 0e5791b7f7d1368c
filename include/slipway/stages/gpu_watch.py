"""Looks at the deployment's GPUs while a load level is measured, and writes down what it sees."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from slipway.errors import HostError
from slipway.facts.machine import chosen_gpus, gpu_load
from slipway.hosts import Host, on_each
from slipway.stages.site import Site


class GpuWatch:
    """Appends a line to ``path`` at each :meth:`look`, for all hosts with GPUs. A rehearsal has none to look at."""

    def __init__(self, site: Site, path: Path) -> None:
        self._site = site
        self._path = path
        self._hosts = {} if site.spec.rehearsal else {each.name: each for each in site.spec.hosts if each.gpus}
        path.unlink(missing_ok=True)

    def look(self) -> None:
        """Once; where a host does not answer, the cell goes on without, and nobody looks again."""
        if not self._hosts:
            return
        at_s = time.time()
        try:
            seen = on_each([self._site.hosts[name] for name in self._hosts], self._own)
        except HostError as error:
            self._site.say(f"the GPUs are not looked at any more: {error}")
            self._hosts = {}
            return
        with self._path.open("a", encoding="utf-8") as lines:
            lines.write(f"{json.dumps({'at_s': at_s, 'hosts': seen})}\n")

    def _own(self, host: Host) -> dict[str, Any]:
        """What one host's GPUs do: those of the deployment alone, others have work of others."""
        spec, own = self._site.spec, self._hosts[host.name]
        seen = gpu_load(host, spec.root, spec.name)
        cards = chosen_gpus(spec.env_of(own), own.gpus, seen["gpus"])
        uuids = {card["uuid"] for card in cards}
        return {**seen, "gpus": cards, "foreign": [each for each in seen["foreign"] if each["gpu_uuid"] in uuids]}
