from __future__ import annotations

from typing import Any

import pytest

from slipway.loadgen.page import MetricsPage

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na 1\n"


def test_one_connection_is_kept_for_all_looks(serve: Any, plan_for: Any) -> None:
    server = serve(lambda call: call.send(ANSWER))
    page = MetricsPage(plan_for(server.url))
    assert [page.read() for _ in range(3)] == [b"a 1\n"] * 3
    assert [call.head.splitlines()[0] for call in server.calls] == ["GET /metrics HTTP/1.1"] * 3
    assert len(server.conns) == 1


def test_a_connection_that_the_server_closed_meanwhile_is_made_anew(serve: Any, plan_for: Any) -> None:
    def behave(call: Any) -> None:
        call.send(ANSWER)
        call.reset()

    server = serve(behave)
    page = MetricsPage(plan_for(server.url))
    assert [page.read() for _ in range(3)] == [b"a 1\n"] * 3
    assert len(server.conns) == 3


def test_over_tls(serve: Any, plan_for: Any, tls: Any, ca_file: Any) -> None:
    server = serve(lambda call: call.send(ANSWER), tls)
    assert MetricsPage(plan_for(server.url, ca_file=str(ca_file))).read() == b"a 1\n"


def test_a_server_without_the_page_says_nothing(serve: Any, plan_for: Any) -> None:
    server = serve(lambda call: call.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"))
    assert MetricsPage(plan_for(server.url)).read() is None


def test_one_that_hangs_up_is_asked_no_second_time(
    serve: Any, plan_for: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve(lambda call: call.conn.close())
    assert MetricsPage(plan_for(server.url)).read() is None
    assert len(server.calls) == 1
    assert capsys.readouterr().err == "no /metrics: Remote end closed connection without response\n"
