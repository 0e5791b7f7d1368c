"""Servers over TLS: their certificates by an authority of our own, their times, and what goes wrong."""

from __future__ import annotations

import ssl
import time
from collections import Counter
from pathlib import Path
from typing import Any

import gevent
import pytest

from slipway.errors import LoadTestFailed
from slipway.loadgen.share import Share
from slipway.loadgen.tls import open_context
from slipway.results.cell import Window
from slipway.results.rows import Row, load_rows


def _run(plan: Any, seconds: float) -> list[Row]:
    share = Share(plan)
    users = [gevent.spawn(share.take_part) for _ in range(plan.locust_users)]
    now = time.time_ns()
    share.measure(Window(now, now + int(seconds * 1e9)))
    gevent.joinall(users, timeout=1, raise_error=True)
    return list(load_rows(Path(plan.folder)))


def test_answers_over_tls_on_connections_that_are_kept(
    serve: Any, wire: Any, plan_for: Any, tls: ssl.SSLContext, ca_file: Path
) -> None:
    sent_ns: list[int] = []

    def behave(call: Any) -> None:
        head, role, first, *rest = wire.stream(4)
        call.send(head, role)
        time.sleep(0.02)
        sent_ns.append(time.time_ns())
        call.send(first)
        for part in rest:
            time.sleep(0.002)
            call.send(part)

    server = serve(behave, tls)
    rows = _run(plan_for(server.url, users=1, ca_file=str(ca_file)), 0.5)
    assert {row.error for row in rows} == {""}
    assert len(rows) > 5
    assert [row.connect_us > 0 for row in rows].count(True) == 1
    late = sorted(row.first_token_ns - sent for row, sent in zip(rows, sent_ns, strict=True))
    assert late[0] >= 0
    assert late[len(late) // 2] < 100_000_000


def test_a_server_that_the_file_does_not_vouch_for(
    serve: Any, wire: Any, plan_for: Any, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slipway.loadgen.share.PAUSE_S", 0.1)
    server = serve(lambda call: call.send(*wire.stream(4)), tls)
    rows = _run(plan_for(server.url, users=2), 0.3)
    assert set(Counter(row.error for row in rows)) == {"tls_certificate"}
    assert "unable to get local issuer certificate" in rows[0].detail


def test_a_server_that_speaks_no_tls_and_one_that_says_nothing(serve: Any, plan_for: Any, ca_file: Path) -> None:
    plain = serve(lambda call: None)
    url = plain.url.replace("http:", "https:")
    rows = _run(plan_for(url, ca_file=str(ca_file), request_timeout_s=0.4), 0.1)
    assert rows[0].error in ("connect_timeout", "connect_reset", "tls_failed")


def test_a_reset_and_an_end_in_the_midst(
    serve: Any, wire: Any, plan_for: Any, tls: ssl.SSLContext, ca_file: Path
) -> None:
    good = wire.stream(4)
    acts = [
        lambda call: (call.send(*good[:4]), call.reset()),
        lambda call: (call.send(*good[:4]), call.conn.close()),
        lambda call: (call.send(*good[:4]), call.conn.unwrap()),
        lambda call: call.send(*good),
    ]
    server = serve(lambda call: acts[call.turn % len(acts)](call), tls)
    rows = _run(plan_for(server.url, users=4, ca_file=str(ca_file)), 0.3)
    assert {"truncated_stream", ""} <= {row.error for row in rows} <= {"connect_reset", "truncated_stream", ""}


def test_what_is_no_certificate_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    for name in ("empty.pem", "none.pem"):
        with pytest.raises(LoadTestFailed, match=f"cannot read the certificates in .*{name}"):
            open_context("https://h", str(tmp_path / name))
    assert open_context("http://h", None) is None
