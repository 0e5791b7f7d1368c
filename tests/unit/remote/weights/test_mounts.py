"""The file system that holds a path, from a kernel's own text."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway.remote.weights.mounts import file_system, is_network

MOUNTINFO = r"""22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
23 22 0:21 / /proc rw,nosuid - proc proc rw
40 22 0:44 /export /data rw,relatime shared:7 - nfs4 10.1.4.9:/export rw,vers=4.2
41 40 0:45 / /data/fast rw - xfs /dev/nvme0n1 rw
42 22 0:46 / /with\040space rw - fuse.sshfs host:/ rw
43 22 0:47 / /data/fast rw - lustre mgs:/fs rw
"""


@pytest.mark.parametrize(
    ("path", "system"),
    [
        ("/nowhere/model", "ext4"),
        ("/", "ext4"),
        ("/data", "nfs4"),
        ("/data/model", "nfs4"),
        ("/database", "ext4"),
        ("/data/fast/model", "lustre"),
        ("/with space/model", "fuse.sshfs"),
    ],
)
def test_the_innermost_and_latest_mount_counts(path: str, system: str) -> None:
    assert file_system(Path(path), MOUNTINFO) == system


def test_this_machine_is_read_without_a_fault(tmp_path: Path) -> None:
    assert is_network(Path("/proc")) is False
