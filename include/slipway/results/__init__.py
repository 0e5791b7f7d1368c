"""What was measured: definitions, percentiles, validity."""

from slipway.results.histogram import Histogram
from slipway.results.measurement import Distribution, Measurement, Validity

__all__ = ["Distribution", "Histogram", "Measurement", "Validity"]
