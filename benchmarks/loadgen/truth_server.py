"""A streaming server whose schedule is known: it answers like vLLM, and writes down when it did what.

One line a request goes to ``--log`` when its answer was sent: the kernel's stamp of the request's last bytes, and the
clock just before each send that carried a token. Nothing but Linux and the standard library is needed.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import select
import signal
import socket
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

SO_TIMESTAMPNS = 35
WORD = " the"
"""One token, also for clients that count with a tokenizer of their own."""
STAMP = struct.Struct("@qq")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
NOT_THERE = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True)
class Schedule:
    """Seconds. A request's first token comes after ``ttft`` up to ``ttft * (1 + spread)``; the same goes for each gap.

    ``lockstep``: all tokens of all streams are sent on a common beat of ``gap``.
    """

    ttft: float
    gap: float
    tokens: int
    spread: float
    lockstep: bool

    def next_ns(self, after_ns: int, wait_s: float, chance: random.Random) -> int:
        due_ns = after_ns + int(wait_s * (1 + self.spread * chance.random()) * 1e9)
        beat_ns = int(self.gap * 1e9)
        return (due_ns + beat_ns - 1) // beat_ns * beat_ns if self.lockstep else due_ns


@dataclass
class Stream:
    """One request under way."""

    sock: socket.socket
    name: str
    chat: bool
    continuous: bool
    prompt_tokens: int
    arrived_ns: int
    sent_ns: list[int] = field(default_factory=list)

    def event(self, choices: str, usage: str = "") -> bytes:
        kind = "chat.completion.chunk" if self.chat else "text_completion"
        origin = f'"id":"{self.name}","object":"{kind}","created":1,"model":"truth"'
        return chunk(f'data: {{{origin},"choices":[{choices}]{usage}}}\n\n'.encode())

    def token(self, number: int, last: int) -> bytes:
        end = '"length"' if number == last else "null"
        text = f'"delta":{{"content":"{WORD}"}}' if self.chat else f'"text":"{WORD}"'
        usage = self.usage(number) if self.continuous else ""
        return self.event(f'{{"index":0,{text},"logprobs":null,"finish_reason":{end},"token_ids":null}}', usage)

    def usage(self, tokens: int) -> str:
        whole = self.prompt_tokens + tokens
        return f',"usage":{{"prompt_tokens":{self.prompt_tokens},"total_tokens":{whole},"completion_tokens":{tokens}}}'


def chunk(payload: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(payload), payload)


class Server:
    """One thread, one epoll, one heap of what is due."""

    def __init__(self, schedule: Schedule, place: tuple[str, int], log: IO[str], seed: int) -> None:
        self.schedule, self.log, self.chance = schedule, log, random.Random(seed)
        self.epoll, self.heap, self.count = select.epoll(), [], 0
        self.generated = self.prompted = self.finished = 0
        self.socks: dict[int, socket.socket] = {}
        self.kept: dict[int, bytes] = {}
        self.door = socket.create_server(place, backlog=4096)
        self.door.setblocking(False)
        self.door.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.epoll.register(self.door.fileno(), select.EPOLLIN)

    @property
    def port(self) -> int:
        return int(self.door.getsockname()[1])

    def turn(self, longest_s: float = 0.2) -> None:
        """Send what is due, then read what came."""
        now_ns = time.time_ns()
        while self.heap and self.heap[0][0] <= now_ns:
            _, _, stream = heapq.heappop(self.heap)
            self._send_token(stream)
            now_ns = time.time_ns()
        wait_s = min(longest_s, max(0.0, (self.heap[0][0] - now_ns) / 1e9)) if self.heap else longest_s
        for fd, _ in self.epoll.poll(wait_s, 4096):
            if fd == self.door.fileno():
                self._let_in()
            else:
                self._read(fd)

    def _let_in(self) -> None:
        while True:
            try:
                sock, _ = self.door.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            self.socks[sock.fileno()], self.kept[sock.fileno()] = sock, b""
            self.epoll.register(sock.fileno(), select.EPOLLIN)

    def _read(self, fd: int) -> None:
        sock = self.socks[fd]
        try:
            data, control, _, _ = sock.recvmsg(1 << 16, 64)
        except OSError:
            data, control = b"", []
        if not data:
            self._forget(fd)
            return
        arrived_ns = _stamp_ns(control)
        text = self.kept[fd] + data
        head, end, body = text.partition(b"\r\n\r\n")
        if end and len(body) >= _length(head):
            self.kept[fd] = b""
            self._take(sock, head, body, arrived_ns)
        else:
            self.kept[fd] = text

    def _forget(self, fd: int) -> None:
        self.epoll.unregister(fd)
        self.socks.pop(fd).close()
        del self.kept[fd]

    def _take(self, sock: socket.socket, head: bytes, body: bytes, arrived_ns: int) -> None:
        path = head.split(b" ", 2)[1].decode()
        if path not in ("/v1/chat/completions", "/v1/completions"):
            sock.send(self._page(path))
            return
        asked = json.loads(body)
        self.count += 1
        continuous = bool((asked.get("stream_options") or {}).get("continuous_usage_stats"))
        words = len(str(asked.get("prompt") or asked["messages"]).split())
        stream = Stream(sock, f"truth-{self.count}", "chat" in path, continuous, words, arrived_ns)
        sock.send(HEAD)
        due_ns = self.schedule.next_ns(arrived_ns, self.schedule.ttft, self.chance)
        heapq.heappush(self.heap, (due_ns, self.count, stream))

    def _page(self, path: str) -> bytes:
        pages = {
            "/v1/models": json.dumps({"object": "list", "data": [{"id": "truth", "object": "model"}]}),
            "/metrics": f"vllm:generation_tokens_total {self.generated}\nvllm:prompt_tokens_total {self.prompted}\n",
            "/health": "",
        }
        page = pages.get(path)
        if page is None:
            return NOT_THERE
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(page), page.encode())

    def _send_token(self, stream: Stream) -> None:
        number, last = len(stream.sent_ns) + 1, self.schedule.tokens
        try:
            if number == 1 and stream.chat:
                stream.sock.send(
                    stream.event('{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}')
                )
            event = stream.token(number, last)
            stream.sent_ns.append(time.time_ns())
            stream.sock.send(event)
        except OSError:
            return
        self.generated += 1
        if number < last:
            due_ns = self.schedule.next_ns(stream.sent_ns[-1], self.schedule.gap, self.chance)
            self.count += 1
            heapq.heappush(self.heap, (due_ns, self.count, stream))
        else:
            self._finish(stream)

    def _finish(self, stream: Stream) -> None:
        usage = stream.event("", stream.usage(self.schedule.tokens))
        self.prompted += stream.prompt_tokens
        self.finished += 1
        stream.sock.send(usage + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
        self.log.write(json.dumps({"arrived_ns": stream.arrived_ns, "sent_ns": stream.sent_ns}) + "\n")


def _stamp_ns(control: list[tuple[int, int, bytes]]) -> int:
    """The kernel begins to stamp a moment after the first socket asked for it; until then the clock must do."""
    if not control:
        return time.time_ns()
    seconds, nanoseconds = STAMP.unpack(control[0][2])
    return int(seconds * 10**9 + nanoseconds)


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ttft", type=float, default=0.2)
    parser.add_argument("--gap", type=float, default=0.025)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--spread", type=float, default=0.5)
    parser.add_argument("--lockstep", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, required=True)
    given = parser.parse_args()
    schedule = Schedule(given.ttft, given.gap, given.tokens, given.spread, given.lockstep)
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(1))
    with given.log.open("w", encoding="utf-8") as log:
        server = Server(schedule, (given.host, given.port), log, given.seed)
        print(server.port, flush=True)
        while not ended:
            server.turn()


if __name__ == "__main__":
    main()
