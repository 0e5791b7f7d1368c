from __future__ import annotations

import pytest

from slipway.results.search import highest_kept


@pytest.mark.parametrize("limit", [0, 1, 2, 7, 8, 9, 31, 100, 640])
@pytest.mark.parametrize("first", [1, 8, 50])
def test_the_answer_was_kept_and_little_more_was_not(limit: int, first: int) -> None:
    tried: list[int] = []

    def kept(load: int) -> bool:
        tried.append(load)
        return load <= limit

    found = highest_kept(kept, first, 1000)
    assert limit * 0.95 - 1 <= found <= limit
    assert found in (0, *tried)
    assert len(tried) == len(set(tried)) <= 16


def test_no_load_above_the_most_is_tried() -> None:
    tried: list[int] = []
    assert highest_kept(lambda load: tried.append(load) is None, 8, 20) == 20
    assert tried == [8, 16, 20]
