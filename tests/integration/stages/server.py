"""A server as vLLM's is seen from outside, told by a file what to do: run as a process of its own by Slipway's agent.

The file holds JSON: ``ready``, ``completion`` (answers or hangs), ``counts`` (whether it counts tokens), ``reads``
(bytes a second that it reads in silence), ``says`` (lines for its log).
"""

from __future__ import annotations

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ORDERS = Path(sys.argv[1])
PORT = int(sys.argv[2])


def orders() -> dict:
    return json.loads(ORDERS.read_text())


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/health":
            self.answer("")
        else:
            tokens = time.monotonic() if orders().get("counts") else 40.0
            names = ("vllm:prompt_tokens_total", "vllm:generation_tokens_total")
            self.answer("".join(f'{name}{{engine="0"}} {tokens}\n' for name in names))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        while orders().get("completion") == "hangs":
            time.sleep(0.05)
        self.answer("{}")

    def answer(self, body: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


def serve() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", PORT), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def main() -> None:
    said: list[str] = []
    serving = False
    while True:
        now = orders()
        if now.get("ready") and not serving:
            serve()
            serving = True
        for line in now.get("says", []):
            if line not in said:
                said.append(line)
                print(line.replace("NOW", time.strftime("%m-%d %H:%M:%S")), flush=True)
        with open("/dev/zero", "rb") as zeros:  # noqa: PTH123
            zeros.read(now.get("reads", 0) // 20 or 1)
        time.sleep(0.05)


main()
