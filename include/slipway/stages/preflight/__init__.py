"""Stage *preflight*: what would fail later is found now, and named. It changes nothing on a host."""

from slipway.stages.preflight.stage import converge, require_fit, with_check

__all__ = ["converge", "require_fit", "with_check"]
