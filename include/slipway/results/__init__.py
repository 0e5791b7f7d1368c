"""What was measured: definitions, percentiles, validity."""

from slipway.results.goodput import Goodput
from slipway.results.histogram import Histogram
from slipway.results.measurement import Distribution, Measurement, Validity

__all__ = ["Distribution", "Goodput", "Histogram", "Measurement", "Validity"]
