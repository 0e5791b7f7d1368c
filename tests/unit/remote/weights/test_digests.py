"""The digests of chunks: published values, and what is said where a host has no XXH3."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from slipway.remote.refusal import Refused
from slipway.remote.weights import digests
from slipway.remote.weights.digests import open_digest

OF_NOTHING, OF_A = "99aa06d3014798d86001c324468d497f", "a96faf705af16834e6c632b61e964e1f"
"""XXH3 of 128 bits, as ``xxhsum -H2`` prints it."""


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    open_digest.cache_clear()
    yield
    open_digest.cache_clear()


def test_sha256_is_that_of_every_python() -> None:
    assert open_digest("sha256")(memoryview(bytearray(b"a"))).startswith("ca978112ca1bbdca")


def test_xxh3_of_the_library_is_the_published_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xxhash", None)
    assert open_digest("xxh3")(memoryview(bytearray(b""))) == OF_NOTHING
    assert open_digest("xxh3")(memoryview(bytearray(b"ba"))[1:]) == OF_A


def test_a_package_is_taken_before_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xxhash", SimpleNamespace(xxh3_128_hexdigest=lambda data: f"package {len(data)}"))
    assert open_digest("xxh3")(memoryview(bytearray(b"abc"))) == "package 3"


def test_a_host_without_either_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xxhash", None)
    monkeypatch.setattr(digests, "LIBRARY", "libnowhere.so.0")
    with pytest.raises(Refused, match=r"weights\.digest: xxh3: .* has no package xxhash") as caught:
        open_digest("xxh3")
    assert "libxxhash0" in caught.value.hint
