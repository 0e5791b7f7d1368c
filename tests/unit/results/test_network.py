"""The network's figure: nccl-tests' arithmetic, and what NCCL's own log says the data went over."""

from __future__ import annotations

import pytest

from slipway.results import network


def rank(via: list[str], small_s: float = 0.0, large_s: float = 0.0) -> dict[str, object]:
    return {"via": via, "small_s": small_s, "large_s": large_s}


def test_bandwidth_as_nccl_tests_define_it():
    """64 MiB in 4 ms over 16 ranks; nccl-tests give the mean over the ranks."""
    times = [(10e-6, 0.003), (30e-6, 0.005)] * 8
    found = network.figure("nccl", [rank(["NET/IB/0"], *each) for each in times], 8, 64 << 20)
    assert (found.ranks, found.small_s) == (16, pytest.approx(20e-6))
    assert found.algbw == pytest.approx(16.777216e9)
    assert found.busbw == pytest.approx(16.777216e9 * 30 / 16)


def test_two_ranks_carry_the_message_once_and_one_carries_nothing():
    two = network.figure("gloo", [rank([], 1e-4, 0.01)] * 2, 8, 1000)
    assert two.busbw == two.algbw == pytest.approx(100_000)
    assert network.figure("nccl", [rank([], 1e-5, 0.01)], 8, 1000).busbw == 0


@pytest.mark.parametrize(
    ("via", "expected"),
    [
        ("NET/IB/0", "NET/IB"),
        ("NET/IB/7/GDRDMA", "NET/IB/GDRDMA"),
        ("NET/IB/3(7)/GDRDMA(PCI)/Shared", "NET/IB/GDRDMA"),
        ("NET/Socket/1/Shared", "NET/Socket"),
        ("NET/Libfabric/0/GDRDMA", "NET/Libfabric/GDRDMA"),
        ("COLLNET/SHARP/0/GDRDMA", "COLLNET/SHARP/GDRDMA"),
        ("P2P/CUMEM/read", "P2P"),
        ("P2P/IPC", "P2P"),
        ("SHM/direct/direct", "SHM"),
    ],
)
def test_a_transport_without_its_device(via: str, expected: str):
    assert network.transport(via) == expected


@pytest.mark.parametrize(
    ("transports", "expected"),
    [
        (["NET/IB/GDRDMA", "P2P"], "IB"),
        (["NET/Socket", "SHM"], "sockets"),
        (["NET/IB", "NET/Socket"], "IB, sockets"),
        (["NET/Libfabric"], "Libfabric"),
        (["P2P", "SHM"], "P2P, shared memory"),
        ([], ""),
    ],
)
def test_a_network_among_them_is_what_counts(transports: list[str], expected: str):
    assert network.over(transports) == expected


def test_gloo_goes_over_sockets_and_one_rank_over_nothing():
    assert network.figure("gloo", [rank([], 1, 1)] * 2, 8, 8).over == "sockets"
    assert network.figure("nccl", [rank([], 1, 1)], 8, 8).over == ""


def test_told_in_a_line():
    figure = network.figure("nccl", [rank(["NET/IB/0/GDRDMA"], 25e-6, 0.002)] * 4, 8, 64 << 20)
    said = network.told(figure.data())
    assert said == "4 ranks, nccl over IB: 64 MiB all-reduce 50.33 GB/s busbw (33.55 algbw), 8 B 25 us"
    assert network.told(network.figure("nccl", [rank([], 1e-5, 1e-5)], 8, 8).data()) == "one rank, nccl works there"
    assert network.told({"skipped": "no host gives a GPU"}) == "not measured: no host gives a GPU"
    assert network.told({}) == ""
