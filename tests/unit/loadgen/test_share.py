"""One process's share, with real users against a real server."""

from __future__ import annotations

import json
import os
import random
import socket
import time
from collections import Counter
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import gevent
import pytest

from slipway.loadgen.plan import LoadPlan
from slipway.loadgen.share import IDLE_S, Share, arrivals_ns
from slipway.results.cell import Window
from slipway.results.rows import Row, load_rows


def _run(plan: LoadPlan, seconds: float) -> list[Row]:
    """A whole share: all users from the first moment on, a window of ``seconds``, the end."""
    share = Share(plan)
    users = [gevent.spawn(share.take_part) for _ in range(plan.locust_users)]
    now = time.time_ns()
    share.measure(Window(now, now + int(seconds * 1e9)))
    gevent.joinall(users, timeout=1, raise_error=True)
    assert all(user.ready() for user in users)
    return list(load_rows(Path(plan.folder)))


def test_users_ask_again_as_soon_as_they_were_answered(serve: Any, wire: Any, plan_for: Any) -> None:
    server = serve(lambda call: call.send(*wire.stream(4)))
    rows = _run(plan_for(server.url, users=3), 0.5)
    assert {row.error for row in rows} == {""}
    assert {row.user for row in rows} == {0, 1, 2}
    assert len(rows) == len(server.calls) > 30
    assert len(server.conns) == 3
    assert [row.connect_us > 0 for row in rows].count(True) == 3
    mine = [row for row in rows if row.user == 0]
    assert all(after.scheduled_ns == before.ended_ns for before, after in pairwise(mine))
    assert all(row.sent_ns >= row.scheduled_ns for row in rows)


def test_what_is_asked(serve: Any, wire: Any, plan_for: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "s3cret")
    server = serve(lambda call: call.send(*wire.stream(4)))
    plan = plan_for(f"{server.url}/base", api_key_env="A_KEY", temperature=0.5)
    rows = _run(plan, 0.1)
    call = server.calls[0]
    assert call.head.startswith("POST /base/v1/chat/completions HTTP/1.1\r\n")
    assert "Authorization: Bearer s3cret\r\n" in call.head
    assert f"X-Request-Id: {rows[0].id}\r\n" in call.head
    assert call.asked == {
        "model": "m",
        "messages": [{"role": "user", "content": "one two three"}],
        "max_tokens": 4,
        "temperature": 0.5,
        "stream": True,
        "stream_options": {"include_usage": True},
        "ignore_eos": True,
    }
    assert rows[0].asked_prompt_tokens == 3
    kept = "".join(path.read_text() for path in Path(plan.folder).iterdir())
    assert "s3cret" not in kept


def test_exact_counts_are_asked_for_once_events_and_tokens_differ(serve: Any, wire: Any, plan_for: Any) -> None:
    def behave(call: Any) -> None:
        exact = call.asked["stream_options"].get("continuous_usage_stats")
        stated = {"usage": {"prompt_tokens": 1, "completion_tokens": 4}} if exact else {}
        events = [wire.delta(content="a"), {**wire.delta(content="bcd"), **stated}, wire.usage(1, 4)]
        call.send(*wire.answer(*events))

    rows = _run(plan_for(serve(behave).url), 0.2)
    assert [(row.counted_tokens, row.output_tokens) for row in rows[:2]] == [(2, 4), (4, 4)]
    assert {row.counted_tokens for row in rows[1:]} == {4}


def _refuse(status: int) -> bytes:
    return b"HTTP/1.1 %d No\r\nContent-Length: 2\r\n\r\nno" % status


def test_every_kind_of_failure_is_a_row_and_no_user_hangs(serve: Any, wire: Any, plan_for: Any) -> None:
    good = wire.stream(4)
    acts = {
        "http_429": lambda call: call.send(_refuse(429)),
        "http_503": lambda call: call.send(_refuse(503)),
        "http_400": lambda call: call.send(_refuse(400)),
        "connect_reset": lambda call: call.reset(),
        "no_answer": lambda call: call.conn.shutdown(socket.SHUT_RDWR),
        "truncated_stream": lambda call: (call.send(*good[:4]), call.conn.shutdown(socket.SHUT_RDWR)),
        "broken_json": lambda call: call.send(good[0], wire.chunk(b"data: {oops}\n\n")),
        "broken_http": lambda call: call.send(b"what?\r\n\r\n"),
        "no_usage": lambda call: call.send(*wire.answer(wire.delta(content="a"))),
        "timeout": lambda call: time.sleep(1.0),
        "endless_stream": lambda call: call.send(good[0], *good[2:3] * 500),
        "stream_error": lambda call: call.send(*wire.answer({"error": {"message": "boom"}})),
        "not_a_stream": lambda call: call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
        "": lambda call: call.send(*good),
    }
    kinds = list(acts)
    server = serve(lambda call: acts[kinds[call.turn % len(kinds)]](call))
    rows = _run(plan_for(server.url, users=len(kinds), request_timeout_s=0.6), 0.2)
    assert {row.error for row in rows} == set(kinds)
    assert {row.user for row in rows} == set(range(len(kinds)))


def test_a_user_waits_after_a_failure(serve: Any, plan_for: Any) -> None:
    rows = _run(plan_for(serve(lambda call: call.send(_refuse(500))).url, users=2), 1.4)
    assert Counter(row.user for row in rows) == {0: 2, 1: 2}
    first, second = (row for row in rows if row.user == 0)
    assert 0.99 < (second.sent_ns - first.sent_ns) / 1e9 < 1.3
    assert second.sent_ns - second.scheduled_ns < 100_000_000


def test_retry_after_is_kept(serve: Any, plan_for: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slipway.loadgen.share.PAUSE_S", 0.1)
    busy = b"HTTP/1.1 429 No\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
    rows = _run(plan_for(serve(lambda call: call.send(busy)).url), 1.4)
    assert [row.error for row in rows] == ["http_429"] * 2
    assert (rows[1].sent_ns - rows[0].sent_ns) / 1e9 >= 1


def test_a_dead_server_is_not_hammered(plan_for: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slipway.loadgen.share.PAUSE_S", 0.4)
    with socket.create_server(("127.0.0.1", 0)) as door:
        url = f"http://127.0.0.1:{door.getsockname()[1]}"
    rows = _run(plan_for(url, users=4), 0.6)
    assert Counter(row.user for row in rows) == dict.fromkeys(range(4), 2)
    assert {(row.error, row.sent_ns) for row in rows} == {("connect_refused", 0)}


def test_answers_under_way_may_end_after_the_window(serve: Any, wire: Any, plan_for: Any) -> None:
    def behave(call: Any) -> None:
        time.sleep(0.4)
        call.send(*wire.stream(4))

    rows = _run(plan_for(serve(behave).url), 0.2)
    assert [row.error for row in rows] == [""]


def test_answers_that_do_not_end_are_cut(serve: Any, plan_for: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slipway.results.plan.DRAIN_S", 0.3)
    rows = _run(plan_for(serve(lambda call: time.sleep(1.0)).url, users=2), 0.2)
    assert [row.error for row in rows] == ["cut", "cut"]


def test_health_is_kept_over_the_window(serve: Any, wire: Any, plan_for: Any) -> None:
    plan = plan_for(serve(lambda call: call.send(*wire.stream(4))).url)
    _run(plan, 0.3)
    health = json.loads(Path(plan.folder, f"clients-{os.getpid()}.json").read_text())
    assert 0.3 <= health["window_s"] < 0.5
    assert 0 < health["cpu_s"] <= health["window_s"] + 0.1
    assert health["reads"] > health["unstamped_reads"] == 0
    assert abs(health["clock_step_s"]) < 0.01


def test_an_open_loop_waits_for_no_answer(serve: Any, wire: Any, plan_for: Any) -> None:
    """Each answer takes 0.3 s and a request is due each 0.05 s, so that six are under way at a time."""

    def behave(call: Any) -> None:
        time.sleep(0.3)
        call.send(*wire.stream(4))

    server = serve(behave)
    rows = sorted(
        _run(plan_for(server.url, users=0, rate=20.0, arrivals="constant"), 1.0), key=lambda row: row.scheduled_ns
    )
    assert {row.error for row in rows} == {""}
    assert 18 <= len(rows) <= 22
    assert len(server.conns) >= 5
    due = [row.scheduled_ns - row.connect_us * 1000 for row in rows]
    assert [after - before for before, after in pairwise(due)] == pytest.approx([50e6] * (len(rows) - 1), abs=2000)
    lags = sorted(row.sent_ns - row.scheduled_ns for row in rows)
    assert lags[0] >= 0
    assert lags[len(lags) // 2] < 50e6
    assert len({row.user for row in rows}) == len(rows)


def test_a_connection_that_was_idle_for_long_is_not_used_again(
    serve: Any, wire: Any, plan_for: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert IDLE_S < 5
    monkeypatch.setattr("slipway.loadgen.share.IDLE_S", 0.05)
    server = serve(lambda call: call.send(*wire.stream(4)))
    rows = _run(plan_for(server.url, users=0, rate=10.0, arrivals="constant"), 0.45)
    assert {row.error for row in rows} == {""}
    assert len(server.conns) == len(rows) >= 4


def test_poisson_arrivals_have_the_rate_and_its_spread(plan_for: Any) -> None:
    plan = plan_for("http://h:1", users=0, rate=50.0, processes=2)
    due = list(islice(arrivals_ns(plan, 0, random.Random(1), 0), 20_000))
    gaps = [(after - before) / 1e9 for before, after in pairwise(due)]
    mean = sum(gaps) / len(gaps)
    assert mean == pytest.approx(2 / 50, rel=0.03)
    assert sum((gap - mean) ** 2 for gap in gaps) / len(gaps) == pytest.approx(mean**2, rel=0.06)


def test_constant_arrivals_of_several_processes_interleave(plan_for: Any) -> None:
    plan = plan_for("http://h:1", users=0, rate=10.0, processes=4, arrivals="constant")
    due = [at for index in range(4) for at in islice(arrivals_ns(plan, index, random.Random(1), 0), 25)]
    assert sorted(due) == pytest.approx([at * 100e6 for at in range(100)])
