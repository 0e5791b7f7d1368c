"""The NVIDIA driver's words in the kernel's log.

The lines without an Xid are captured; no Xid could be provoked, so the others have the form of NVIDIA's documentation.
"""

from __future__ import annotations

from pathlib import Path

from slipway.remote.probe.kernel_log import parse_xids, xids

CAPTURED = Path(__file__).parents[3] / "data" / "nvidia-smi-580.159.04" / "kernel_log.txt"
XID_79 = "NVRM: Xid (PCI:0000:3B:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."
XID_48 = "NVRM: Xid (PCI:0000:06:00): 48, pid=409, An uncorrectable double bit error (DBE) has been detected"


def test_a_healthy_log_has_none():
    assert list(parse_xids((f"6,1,1000,-;{line}" for line in CAPTURED.read_text().splitlines()), 10.0)) == []


def test_messages_with_their_age():
    records = [f"4,900,5000000,-;{XID_79}", "6,901,6000000,-;eth0: up", f"4,902,7500000,c;{XID_48}"]
    first, second = parse_xids(records, 60.0)
    assert (first["pci"], first["xid"], first["age_s"]) == ("0000:3b:00", 79, 55.0)
    assert first["text"].endswith("GPU has fallen off the bus.")
    assert (second["pci"], second["xid"], second["age_s"]) == ("0000:06:00", 48, 52.5)


def test_a_log_that_may_not_be_read_is_not_an_empty_one(tmp_path):
    assert xids(tmp_path / "none") is None


def test_this_machine_s_own_log_is_read_to_its_end():
    assert xids() in ([], None)
