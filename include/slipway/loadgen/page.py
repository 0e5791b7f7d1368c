"""What the server says of itself at ``/metrics``."""

from __future__ import annotations

import http.client
import sys

from slipway.loadgen.ask import address
from slipway.loadgen.tls import open_context
from slipway.results.plan import LoadPlan

TIMEOUT_S = 10.0


class MetricsPage:
    """The page of the server under test, read over a connection that is kept as long as the server keeps it."""

    def __init__(self, plan: LoadPlan) -> None:
        """Raises LoadTestFailed where ``ca_file`` is none."""
        tls = open_context(plan.base_url, plan.ca_file)
        where = address(plan.base_url)
        self._link = (
            http.client.HTTPSConnection(*where, timeout=TIMEOUT_S, context=tls)
            if tls
            else http.client.HTTPConnection(*where, timeout=TIMEOUT_S)
        )

    def read(self) -> bytes | None:
        """Its text; None where there is none, and why on standard error where the server could not be asked."""
        kept = self._link.sock is not None
        try:
            self._link.request("GET", "/metrics")
            answer = self._link.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._link.close()
            if kept and not isinstance(error, TimeoutError):  # the server may have closed it since the last look
                return self.read()
            print(f"no /metrics: {error}", file=sys.stderr)  # noqa: T201
            return None
        return said if answer.status == 200 else None
