"""What was measured: definitions, percentiles, validity."""

from slipway.results.measurement import Distribution, Measurement, Validity

__all__ = ["Distribution", "Measurement", "Validity"]
