from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipway.loadgen.answer import Answer

MS = 1_000_000


def _feed(reads: Iterable[bytes], *, most_tokens: int = 64, step_ns: int = 10 * MS) -> Answer:
    """An answer that got each read ``step_ns`` after the one before; the first at ``step_ns``."""
    answer = Answer(most_tokens)
    for number, read in enumerate(reads, start=1):
        if answer.feed(read, number * step_ns, (number - 1) * step_ns):
            return answer
    answer.hang_up(0)
    return answer


def test_a_good_answer(wire: Any) -> None:
    answer = _feed(wire.stream(4, prompt=9))
    assert (answer.error, answer.prompt_tokens, answer.output_tokens, answer.tokens) == ("", 9, 4, 4)
    assert answer.first_event_ns == 20 * MS
    assert answer.first_token_ns == answer.first_content_ns == 30 * MS
    assert answer.last_token_ns == 60 * MS
    assert answer.ended_ns == 90 * MS
    assert (answer.gaps_us, answer.gap_tokens) == ([10_000] * 3, [])
    assert (answer.first_tokens, answer.first_read_tokens, answer.late_us, answer.merged_tokens) == (1, 1, 0, 0)
    assert answer.reusable


@pytest.mark.parametrize("step", [1, 2, 3, 5, 17, 64, 4096])
def test_the_same_tokens_however_the_bytes_are_cut(wire: Any, step: int) -> None:
    events = [wire.delta(role="assistant", content=""), wire.delta(content="é漢🚢"), wire.delta(content="\r\n \\n\\n")]
    body = b"".join(map(wire.event, events)) + wire.event(wire.usage(1, 2)) + wire.event("[DONE]")
    chunks = b"".join(wire.chunk(body[at : at + 11]) for at in range(0, len(body), 11))
    whole = wire.head + chunks + wire.end
    answer = _feed(whole[at : at + step] for at in range(0, len(whole), step))
    assert (answer.error, answer.tokens, answer.output_tokens) == ("", 2, 2)
    assert answer.received_bytes == len(whole)


def test_events_may_end_in_crlf_and_have_comments_and_names(wire: Any) -> None:
    lines = [b": ping\r\n\r\n", b"event: message\r\n" + wire.event(wire.delta(content="a")).replace(b"\n", b"\r\n")]
    lines += [wire.event(wire.usage(1, 1)).replace(b"\n", b"\r\n"), b"data: [DONE]\r\n\r\n"]
    body = b"".join(lines)
    answer = _feed([wire.head, *(wire.chunk(body[at : at + 3]) for at in range(0, len(body), 3)), wire.end])
    assert (answer.error, answer.tokens) == ("", 1)


def test_reasoning_is_the_first_token_and_content_is_kept_apart(wire: Any) -> None:
    thoughts = [wire.delta(reasoning="so"), wire.delta(reasoning='"content":"x"')]
    role = wire.delta(role="assistant", content="")
    answer = _feed(wire.answer(role, *thoughts, wire.delta(content="Hi"), wire.usage(1, 3)))
    assert answer.first_token_ns == 30 * MS
    assert answer.first_content_ns == 50 * MS


def test_a_token_without_text_is_counted_and_is_not_the_first(wire: Any) -> None:
    words = [wire.delta(content=text) for text in ("", "a", "")]
    answer = _feed(wire.answer(wire.delta(role="assistant", content=""), *words, wire.usage(1, 3)))
    assert (answer.error, answer.tokens, answer.first_tokens) == ("", 3, 2)
    assert answer.first_token_ns == 40 * MS
    assert answer.gaps_us == [10_000]


def test_tokens_are_counted_as_each_event_states(wire: Any) -> None:
    words = [(2, wire.delta(content="ab")), (5, wire.delta(content="cde")), (6, wire.delta(content="f"))]
    stated = [(0, wire.delta(role="assistant", content="")), *words, (6, wire.delta())]
    events = [{**each, "usage": {"prompt_tokens": 1, "completion_tokens": tokens}} for tokens, each in stated]
    answer = _feed(wire.answer(*events, wire.usage(1, 6)))
    assert (answer.tokens, answer.first_tokens, answer.first_read_tokens) == (6, 2, 2)
    assert (answer.gaps_us, answer.gap_tokens) == ([10_000, 10_000], [3, 1])
    assert (answer.late_us, answer.merged_tokens) == (0, 0)


def test_an_empty_last_delta_is_no_token(wire: Any) -> None:
    answer = _feed(wire.answer(wire.delta(content="a"), wire.delta(content="b"), wire.delta(), wire.usage(1, 2)))
    assert (answer.tokens, answer.last_token_ns) == (2, 30 * MS)


def test_a_first_read_with_more_than_its_event_is_marked_with_how_late_it_may_be(wire: Any) -> None:
    two = wire.chunk(wire.event(wire.delta(content="a"))) + wire.chunk(wire.event(wire.delta(content="b")))
    answer = _feed([wire.head, two, *wire.answer(wire.delta(content="c"), wire.usage(1, 3))[1:]])
    assert (answer.first_tokens, answer.first_read_tokens, answer.late_us) == (1, 2, 10_000)
    assert (answer.gaps_us, answer.gap_tokens, answer.merged_tokens) == ([0, 10_000], [], 1)


def test_tokens_that_come_together_later_share_their_gap(wire: Any) -> None:
    one = wire.chunk(wire.event(wire.delta(content="a")))
    answer = _feed([wire.head, one, one, one + one, *wire.answer(wire.usage(1, 4))[1:]])
    assert (answer.gaps_us, answer.gap_tokens) == ([10_000, 10_000], [1, 2])
    assert (answer.late_us, answer.merged_tokens) == (0, 2)


def test_completions_have_no_role(wire: Any) -> None:
    words = [{"choices": [{"index": 0, "text": text}]} for text in (" a", " b")]
    answer = _feed(wire.answer(*words, wire.usage(1, 2)))
    assert (answer.error, answer.tokens, answer.first_token_ns) == ("", 2, 20 * MS)


def test_an_interim_answer_is_skipped(wire: Any) -> None:
    answer = _feed([b"HTTP/1.1 100 Continue\r\n\r\n", *wire.stream(2)])
    assert (answer.error, answer.output_tokens) == ("", 2)


@pytest.mark.parametrize("form", [b"%x", b"%X"])
@pytest.mark.parametrize("field", ["content", "reasoning"])
def test_events_alike_are_counted_one_by_one(wire: Any, form: bytes, field: str) -> None:
    """Sizes on both sides of 255, where a size becomes a digit longer; texts with quotes; another kind in between."""
    texts = ["a", "b" * 170, "c" * 180, 'say "d"', "\\", "e" * 190, "é漢🚢"]
    events = [wire.event(wire.delta(**{field: text})) for text in [*texts, *texts]]
    events.insert(9, wire.event(wire.delta(content="between")))
    events += [wire.event(wire.usage(1, 15)), wire.event("[DONE]")]
    answer = _feed([wire.head, *(form % len(each) + b"\r\n" + each + b"\r\n" for each in events), wire.end])
    assert (answer.error, answer.tokens, answer.output_tokens) == ("", 15, 15)
    assert (answer.gaps_us, answer.gap_tokens) == ([10_000] * 14, [])
    assert answer.first_content_ns == (20 if field == "content" else 110) * MS


def test_an_event_alike_in_a_chunk_of_another_size_is_broken(wire: Any) -> None:
    reads = wire.stream(9)
    assert _feed([*reads[:6], reads[6].replace(b"\r\n", b"0\r\n", 1), *reads[7:]]).error == "truncated_stream"
    shorter = reads[6].partition(b"\r\n")
    smaller = b"%x" % (int(shorter[0], 16) - 1)
    answer = _feed([*reads[:6], smaller + b"\r\n" + shorter[2], *reads[7:]])
    assert (answer.error, answer.tokens) == ("broken_http", 4)


REFUSAL = b"HTTP/1.1 %d X\r\nContent-Length: 6\r\nRetry-After: 2\r\n\r\nsorry!"


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_a_refusal_is_named_by_its_status_and_keeps_the_connection(status: int) -> None:
    answer = _feed([REFUSAL % status])
    assert (answer.error, answer.detail, answer.reusable) == (f"http_{status}", "sorry!", True)


def _refused_json(wire: Any) -> list[bytes]:
    broken = wire.event('{"choices":[],"usage":{"prompt_tokens":1}}')
    return [*wire.stream(3)[:5], wire.chunk(broken + wire.event("[DONE]")), wire.end]


def _hidden(wire: Any) -> list[bytes]:
    last = wire.event(wire.usage(1, 1)) + wire.event("[DONE]")
    return [wire.head, wire.chunk(wire.event(wire.delta(content=""))), wire.chunk(last), wire.end]


DONE = b"e\r\ndata: [DONE]\n\n\r\n"
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
ERROR = '{"error":{"message":"boom"}}'


@pytest.mark.parametrize(
    ("kind", "reusable", "reads"),
    [
        ("no_answer", False, lambda wire: []),
        ("truncated_stream", False, lambda wire: wire.stream(3)[:4]),
        ("truncated_stream", False, lambda wire: [*wire.stream(3)[:3], wire.stream(3)[3][:-9]]),
        ("truncated_stream", True, lambda wire: [*wire.stream(3)[:4], wire.end]),
        ("no_usage", True, lambda wire: [*wire.stream(3)[:5], DONE, wire.end]),
        ("no_usage", True, lambda wire: [wire.head, DONE, wire.end]),
        ("no_tokens", True, _hidden),
        ("broken_json", False, lambda wire: [*wire.stream(3)[:2], wire.chunk(b'data: {"choices":[{]}\n\n')]),
        ("broken_json", False, lambda wire: [*wire.stream(3)[:4], wire.chunk(b'data: {"choices":[{"delta":\n\n')]),
        ("broken_json", False, lambda wire: [*wire.stream(3)[:2], wire.chunk(b'data: {"choices":"\xff"}\n\n')]),
        ("broken_json", True, _refused_json),
        ("broken_http", False, lambda wire: [b"SSH-2.0-OpenSSH_9.2\r\n\r\n"]),
        ("broken_http", False, lambda wire: [*wire.stream(3)[:4], b"zz\r\nboo\r\n"]),
        ("broken_http", False, lambda wire: [b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000]),
        ("stream_error", False, lambda wire: [*wire.stream(3)[:2], wire.chunk(wire.event(ERROR))]),
        ("stream_error", False, lambda wire: [*wire.stream(3)[:4], wire.chunk(wire.event(ERROR)), DONE, wire.end]),
        ("not_a_stream", True, lambda wire: [PLAIN]),
        ("endless_stream", False, lambda wire: [wire.head, *wire.stream(1)[2:3] * 300]),
    ],
)
def test_each_failure_has_its_own_name(
    wire: Any, kind: str, reusable: bool, reads: Callable[[Any], list[bytes]]
) -> None:
    answer = _feed(reads(wire), most_tokens=4)
    assert (answer.error, answer.reusable) == (kind, reusable)


def test_nothing_is_counted_after_the_failure(wire: Any) -> None:
    answer = _feed([*wire.stream(3)[:3], wire.chunk(b"data: boo\n\n" + wire.event(wire.delta(content="x")))])
    assert (answer.error, answer.tokens) == ("broken_json", 1)


EVENTS = [
    b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"content":"b"}}],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n',
    b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n',
    b"data: [DONE]\n\n",
]
GOOD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
GOOD += b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in EVENTS) + b"0\r\n\r\n"
ODD_BYTES = [b"\r\n\r\n", b"\n\n", b"\r\n", b"Infinity", b"NaN", b"[" * 5000, b"null", b'"error":1,', b"9" * 30, b"-"]


@settings(max_examples=400, deadline=None)
@given(
    at=st.integers(0, len(GOOD)),
    removed=st.integers(0, 40),
    put=st.one_of(st.binary(max_size=20), st.sampled_from(ODD_BYTES)),
    step=st.sampled_from([1, 7, 33, 1000]),
)
def test_no_bytes_raise_and_every_answer_ends(at: int, removed: int, put: bytes, step: int) -> None:
    bent = GOOD[:at] + put + GOOD[at + removed :]
    answer = _feed(bent[start : start + step] for start in range(0, len(bent), step))
    if not answer.ended_ns:
        answer.hang_up(1)
    assert answer.ended_ns > 0
    assert bool(answer.error) != bool(answer.output_tokens)


def test_an_answer_may_end_with_its_connection(wire: Any) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    answer = _feed([head, wire.event(wire.delta(content="a")), wire.event(wire.usage(1, 1)) + wire.event("[DONE]")])
    assert (answer.error, answer.output_tokens, answer.reusable) == ("", 1, False)


def test_characters_that_are_split_over_reads(wire: Any) -> None:
    """Each byte of a stream with multi-byte characters comes in a read of its own."""
    words = [wire.delta(content=text) for text in ("héllo", "日本", "🙂")]
    answer = Answer(8)
    whole = b"".join(wire.answer(wire.delta(role="assistant", content=""), *words, wire.usage(2, 3)))
    over = [answer.feed(whole[at : at + 1], at + 1, at) for at in range(len(whole))]
    assert over[-1]
    assert not any(over[:-1])
    assert (answer.error, answer.tokens, answer.output_tokens) == ("", 3, 3)
