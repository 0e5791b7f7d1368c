"""``slipway loadtest`` against a server that runs: no Airflow, no database."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slipway.cli import main
from slipway.results.cell import load_window
from slipway.results.parquet import REQUESTS_FILE, load_cell_requests

TOKEN_S = 0.03
FILE = """
version: 1
name: near
hosts: [{{name: here, address: 127.0.0.2, gpus: 2}}]
environment: {{lock: cpu}}
weights: {{source: /models/m, name: m}}
serve: {{model_name: m, port: {port}}}
benchmark:
  levels: [{{users: 2, spawn_rate: 10}}]
  seconds: 1
  warmup_s: 0
  prompt_tokens: 8
  output_tokens: 4
  request_timeout_s: 5
  slo: {{e2e_s: 0.55}}
price_per_gpu_hour: 1.8
"""


def _model(wire: Any, turn_s: float) -> Callable[[Any], None]:
    """A server whose tokens are words. Its answers take ``turn_s`` for each that is under way."""
    words: list[str] = []
    under_way: list[int] = []

    def reply(call: Any, body: dict[str, Any]) -> None:
        text = json.dumps(body).encode()
        call.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))

    def behave(call: Any) -> None:
        path = call.head.split()[1]
        if path == "/tokenize":
            asked = call.asked
            text = asked["messages"][0]["content"] if "messages" in asked else asked["prompt"]
            words.extend(word for word in text.split() if word not in words)
            ids = [words.index(word) for word in text.split()]
            reply(call, {"count": len(ids), "tokens": ids})
        elif path == "/detokenize":
            reply(call, {"prompt": " ".join(words[each] for each in call.asked["tokens"])})
        elif path == "/v1/chat/completions":
            under_way.append(1)
            time.sleep(turn_s * len(under_way))
            for part in wire.stream(4, prompt=8):
                call.send(part)
                time.sleep(TOKEN_S)
            under_way.pop()
        else:
            call.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    return behave


@pytest.fixture
def file(tmp_path: Path, serve: Any, wire: Any) -> Path:
    """The deployment file of a server that keeps its limit for up to four requests at a time."""
    path = tmp_path / "near.yaml"
    path.write_text(FILE.format(port=serve(_model(wire, 0.1)).door.getsockname()[1]))
    return path


def test_the_levels_of_the_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["loadtest", str(file)]) == 0
    said = capsys.readouterr().out
    assert "Load test of near" in said
    assert "of the requests kept E2E 0.55 s" in said
    assert "a million output tokens cost" in said
    [folder] = file.parent.glob(".slipway/loadtests/*-users-2")
    assert (folder / REQUESTS_FILE).exists()
    assert (folder / "report.html").exists()


def test_over_tls_with_an_authority_of_our_own(
    tmp_path: Path, serve: Any, wire: Any, tls: Any, ca_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve(_model(wire, 0.1), tls)
    path = tmp_path / "near.yaml"
    trusted = f"benchmark:\n  url: {server.url}\n  ca_file: {ca_file}\n"
    path.write_text(FILE.format(port=28999).replace("benchmark:\n", trusted))
    assert main(["loadtest", str(path)]) == 0
    assert "2 users" in capsys.readouterr().out
    [folder] = tmp_path.glob(".slipway/loadtests/*-users-2")
    rows = list(load_cell_requests(folder))
    assert {row.error for row in rows} == {""}
    assert all(row.first_token_ns > row.sent_ns for row in rows)


def test_a_rate(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["loadtest", str(file), "--rate", "8", "--arrivals", "constant", "--seconds", "2"]) == 0
    said = capsys.readouterr().out
    assert "8 req/s: TTFT p99 from the due time" in said


def test_a_trace_is_replayed_and_ends_the_window(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = file.parent / "chat.jsonl"
    entries = [{"timestamp": 200 * number, "input_length": 3 + number, "output_length": 4} for number in range(8)]
    trace.write_text("".join(f"{json.dumps(entry)}\n" for entry in entries))
    assert main(["loadtest", str(file), "--trace", str(trace), "--seconds", "9"]) == 0
    assert "trace chat.jsonl at 1 times its speed" in " ".join(capsys.readouterr().out.split())
    [folder] = file.parent.glob(".slipway/loadtests/*-trace-*")
    rows = sorted(load_cell_requests(folder), key=lambda row: row.scheduled_ns)
    assert [row.asked_prompt_tokens for row in rows] == list(range(3, 11))
    assert load_window(folder).seconds == pytest.approx(1.4)
    due = [(row.scheduled_ns - row.connect_us * 1000) / 1e9 for row in rows]
    assert [at - due[0] for at in due] == pytest.approx([number / 5 for number in range(8)], abs=1e-5)


def test_steps_of_a_rate(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["loadtest", str(file), "--steps", "4:1", "4-12:1", "--arrivals", "constant"]) == 0
    assert "4 req/s for 1 s, 4 to 12 req/s for 1 s" in " ".join(capsys.readouterr().out.split())
    [folder] = file.parent.glob(".slipway/loadtests/*-steps-*")
    assert len(list(load_cell_requests(folder))) == 12
