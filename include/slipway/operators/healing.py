"""What the agents did by themselves since the last look: each restart becomes a row of the store."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from slipway.errors import HostError

if TYPE_CHECKING:
    from slipway.operators.recording import Recording
    from slipway.stages.site import Site

log = logging.getLogger(__name__)


def keep_restarts(site: Site, recording: Recording) -> None:
    """Write down the restarts that the head's agent knows of. A head that does not answer is no failure of this."""
    from slipway.commands import vllm
    from slipway.facts.role import role
    from slipway.store import Restart

    head = site.spec.head.name
    if head not in site.hosts:
        return
    try:
        state = role(site.head, site.root, vllm.role_name(site.spec))
    except HostError as error:
        log.warning("whether the server was started again is not known: %s", error)
        return
    seen = [
        Restart(
            host=head,
            role=state.role,
            at=datetime.fromtimestamp(entry["at"], UTC),
            cause=entry.get("cause", "unknown"),
            reason=entry.get("reason") or "it ended unasked",
        )
        for entry in state.restarts
    ]
    if seen:
        recording.store.record_restarts(recording.run_id, seen)
