"""Hosts that share a source: two of them as processes on this machine, each with a store and an address of its own."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slipway.remote.refusal import Refused
from slipway.remote.weights import peers as fetching
from slipway.remote.weights import striping
from slipway.remote.weights.chunks import Chunk
from slipway.remote.weights.peers import PeerReader, Peers
from slipway.remote.weights.striping import PeerServer, Shelf, Stripe
from slipway.remote.weights.verbs import VERBS

CHUNK_BYTES = 16_384
ADDRESSES = ("127.0.0.1", "127.0.0.2")
STAGE = """
import json, sys
from slipway.remote.weights.verbs import VERBS
print(json.dumps(VERBS["copy"](json.load(sys.stdin))))
"""
IMPATIENT = f"from slipway.remote.weights import peers, striping; peers.GONE_S = striping.GONE_S = 1.0; {STAGE}"


class Hosts:
    def __init__(self, source: Path, port: int) -> None:
        self.source, self.port = source, port
        self.token = source.parent / "token"
        self.token.write_text("t" * 64)

    def request(self, own: int, **more: Any) -> dict[str, Any]:
        stripe = {"own": own, "addresses": list(ADDRESSES), "port": self.port, "token_file": str(self.token)}
        store = str(self.source.parent / f"host{own}" / "tiny")
        own_store = {"source": str(self.source), "store": store, "chunk_bytes": CHUNK_BYTES}
        return {**own_store, "threads": 2, "stripe": stripe, **more}

    def begin(self, own: int, **more: Any) -> subprocess.Popen[str]:
        started = subprocess.Popen(
            [sys.executable, "-c", STAGE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert started.stdin
        started.stdin.write(json.dumps(self.request(own, **more)))
        started.stdin.close()
        started.stdin = None
        return started

    def end(self, started: subprocess.Popen[str]) -> dict[str, Any]:
        said, _ = started.communicate(timeout=60)
        assert started.returncode == 0
        return dict(json.loads(said))


@pytest.fixture
def hosts(make_model: Callable[..., Path], free_port: int) -> Hosts:
    return Hosts(make_model(shard_size=1_000_000), free_port)


@pytest.mark.parametrize("digest", ["sha256", "xxh3"])
def test_each_reads_a_share_and_has_the_rest_from_the_other(hosts: Hosts, digest: str) -> None:
    first, second = [hosts.end(each) for each in [hosts.begin(own, digest=digest) for own in (0, 1)]]
    assert first["digest"] == second["digest"]
    for answer in (first, second):
        assert answer["copied_bytes"] == answer["bytes"]
        assert answer["fetched_bytes"] == pytest.approx(answer["bytes"] / 2, abs=2 * CHUNK_BYTES)
        assert VERBS["verify"]({"path": answer["path"]})["ok"]
    assert Path(first["path"]) != Path(second["path"])
    with pytest.raises(OSError, match="refused"):
        http.client.HTTPConnection(ADDRESSES[0], hosts.port, timeout=5).connect()


def test_one_that_comes_late_still_has_its_half_of_the_first(hosts: Hosts) -> None:
    first = hosts.begin(0, limit_bytes_per_s=3_000_000)
    time.sleep(1.5)
    late = hosts.begin(1, limit_bytes_per_s=3_000_000)
    answers = [hosts.end(first), hosts.end(late)]
    assert all(answer["fetched_bytes"] > answer["bytes"] * 0.4 for answer in answers)


def test_where_the_other_is_killed_the_source_is_read_and_the_other_resumes(hosts: Hosts) -> None:
    """The one that is left takes the dead one's chunks from the source after its patience, which is short here."""
    slow = hosts.begin(1, limit_bytes_per_s=200_000)
    time.sleep(1.5)
    asked = json.dumps(hosts.request(0))
    alone = subprocess.Popen(
        [sys.executable, "-c", IMPATIENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    time.sleep(0.5)
    os.killpg(slow.pid, signal.SIGKILL)
    slow.communicate()
    said, _ = alone.communicate(asked, timeout=60)
    answer = json.loads(said)
    assert answer["copied_bytes"] == answer["bytes"]
    assert VERBS["verify"]({"path": answer["path"]})["ok"]
    again = hosts.request(1)
    del again["stripe"]
    resumed = VERBS["copy"](again)
    assert resumed["digest"] == answer["digest"]
    assert resumed["copied_bytes"] + resumed["resumed_bytes"] == resumed["bytes"]


def test_two_never_wait_for_each_other_and_each_chunk_is_there_once() -> None:
    chunks = [Chunk(number, "a", number * 8, 8) for number in range(23)]
    for own in range(3):
        order = Stripe(own, ("a", "b", "c"), 1, "t").in_order(chunks, lag=2)
        assert sorted(chunk.number for chunk in order) == list(range(23))
        mine = [chunk.number for chunk in order if chunk.number % 3 == own]
        assert mine == sorted(mine)
        for place, chunk in enumerate(order):
            if chunk.number % 3 != own:
                begun = [each.number // 3 for each in order[:place] if each.number % 3 == own]
                assert max(begun) >= min(chunk.number // 3 + 2, max(mine) // 3)


class TestAPeer:
    @pytest.fixture
    def stripe(self, free_port: int) -> Stripe:
        return Stripe(0, ADDRESSES, free_port, "secret")

    @pytest.fixture
    def shelf(self, tmp_path: Path) -> Shelf:
        (tmp_path / "a").write_bytes(bytes(range(256)) * 16)
        return Shelf("model-4096", tmp_path)

    def read(self, stripe: Stripe, model: str = "model-4096", token: str = "secret") -> tuple[str, set[int], bytes]:
        """What host 1 gets of host 0's first chunk."""
        mine = Stripe(1, stripe.addresses, stripe.port, token)
        peers, buffer = Peers(mine, Shelf(model, Path("/nowhere")), "sha256"), memoryview(bytearray(4096))
        reader = PeerReader(peers)
        digest = reader.read(Chunk(0, "a", 0, 4096), buffer)
        reader.close()
        return digest, peers.lost, bytes(buffer)

    def test_gives_what_it_has_and_waits_for_what_it_will_have(self, stripe, shelf, tmp_path):
        server = PeerServer(stripe, shelf)
        data = (tmp_path / "a").read_bytes()
        shelf.put(Chunk(0, "a", 0, 4096), hashlib.sha256(data).hexdigest())
        assert self.read(stripe) == (hashlib.sha256(data).hexdigest(), set(), data)
        server.close()

    @pytest.mark.parametrize("wrong", [{"token": "guessed"}, {"model": "another-4096"}])
    def test_gives_nothing_to_a_stranger_nor_of_another_model(self, stripe, shelf, wrong):
        server = PeerServer(stripe, shelf)
        shelf.put(Chunk(0, "a", 0, 4096), "0" * 64)
        digest, lost, got = self.read(stripe, **wrong)
        assert (digest, lost, got) == ("", {0}, bytes(4096))
        server.close()

    def test_what_changed_on_the_way_is_not_taken(self, stripe, shelf):
        server = PeerServer(stripe, shelf)
        shelf.put(Chunk(0, "a", 0, 4096), "0" * 64)
        assert self.read(stripe)[:2] == ("", set())
        server.close()

    def test_one_that_is_not_there_is_given_up(self, stripe, monkeypatch):
        monkeypatch.setattr(fetching, "GONE_S", 0.2)
        monkeypatch.setattr(fetching, "RETRY_S", 0.05)
        assert self.read(stripe)[:2] == ("", {0})

    def test_one_that_never_has_the_chunk_is_not_waited_for_for_ever(self, stripe, shelf, monkeypatch):
        monkeypatch.setattr(striping, "WAIT_S", 0.05)
        monkeypatch.setattr(fetching, "PATIENCE_S", 0.3)
        server = PeerServer(stripe, shelf)
        assert self.read(stripe)[:2] == ("", set())
        server.close()

    def test_an_address_that_is_not_this_hosts_is_named(self, shelf):
        with pytest.raises(Refused, match=r"listening for the other hosts at 203.0.113.9:4711"):
            PeerServer(Stripe(0, ("203.0.113.9", "b"), 4711, "t"), shelf)
