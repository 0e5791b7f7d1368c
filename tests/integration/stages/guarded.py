"""In the place of a serving environment's Python: vLLM as it is seen from outside with an API key in its environment.

Strict: below /v1 nothing is answered without the key, and what is asked must be of its API. Asked for vLLM's parser, it
takes all arguments.
"""

from __future__ import annotations

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = os.environ.get("VLLM_API_KEY")
WORDS: list[str] = []


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer({"/health": "", "/metrics": metrics(), "/v1/models": {"data": [{"id": "m"}]}}[self.path])

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/tokenize":
            text = asked["messages"][0]["content"] if "messages" in asked else asked["prompt"]
            WORDS.extend(word for word in text.split() if word not in WORDS)
            ids = [WORDS.index(word) for word in text.split()]
            self.answer({"count": len(ids), "tokens": ids})
        elif self.path == "/detokenize":
            self.answer({"prompt": " ".join(WORDS[each] for each in asked["tokens"])})
        else:
            self.complete(asked, chat={"/v1/chat/completions": True, "/v1/completions": False}[self.path])

    def complete(self, asked: dict, *, chat: bool) -> None:
        tokens = asked.get("max_completion_tokens") or asked["max_tokens"]
        usage = {"prompt_tokens": 8, "completion_tokens": tokens}
        if not asked.get("stream"):
            self.answer({"choices": [{"message": {"content": "Paris"}} if chat else {"text": "Paris"}], "usage": usage})
            return
        deltas = [{"choices": [{"index": 0, "delta": {"content": f" {each}"}}]} for each in range(tokens)]
        events = [*deltas, {"choices": [], "usage": usage}]
        self.answer("".join(f"data: {json.dumps(each)}\n\n" for each in events) + "data: [DONE]\n\n")

    def answer(self, body: object) -> None:
        allowed = not self.path.startswith("/v1") or self.headers["Authorization"] == f"Bearer {KEY}"
        data = (
            (body if isinstance(body, str) else json.dumps(body)).encode() if allowed else b'{"error":"Unauthorized"}'
        )
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Type", "text/event-stream" if data.startswith(b"data:") else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


def metrics() -> str:
    return "".join(f"vllm:{kind}_tokens_total 40\n" for kind in ("prompt", "generation"))


def main(arguments: list[str]) -> None:
    if arguments[0] == "-c":
        print(json.dumps({"ok": True}))
        return
    assert KEY, "started without a key"
    assert not any(KEY in word for word in arguments)
    port = next(word.removeprefix("--port=") for word in arguments if word.startswith("--port="))
    print("serving", flush=True)
    ThreadingHTTPServer(("127.0.0.1", int(port)), Answers).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
