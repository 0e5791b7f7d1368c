"""Why something failed: from what its programs said, by a catalogue of signatures. Pure."""

from slipway.diagnosis.catalogue import Kind, Signature, catalogue
from slipway.diagnosis.find import Diagnosis, diagnose, told
from slipway.diagnosis.lines import Source

__all__ = ["Diagnosis", "Kind", "Signature", "Source", "catalogue", "diagnose", "told"]
