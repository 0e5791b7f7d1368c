"""A repository at a pinned commit, staged by the real ``huggingface_hub`` from a small hub on this machine."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from slipway.errors import StageError
from slipway.hosts import LocalHost
from slipway.spec import parse_deployment
from slipway.stages import weights
from slipway.stages.site import Site

COMMIT = "c0ffee" + "0" * 34
TOKEN = "hf_canary"
DEPLOYMENT = """
version: 1
name: tiny
rehearsal: true
root: root
hosts: [{{name: here, address: 127.0.0.2}}]
environment: {{existing: {interpreter}}}
weights: {{source: "hf:org/tiny@{commit}", name: tiny, hub_endpoint: "{endpoint}", {more}}}
serve: {{model_name: tiny}}
benchmark: {{levels: [{{users: 1}}]}}
"""


class Hub(ThreadingHTTPServer):
    """One repository at one commit: its tree, and its files with the hub's headers. Anything else is not found."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files = dict(model())
        self.published = dict(self.files)
        self.token = ""
        self.asked: list[str] = []
        self.tokens: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def tree(self) -> list[dict[str, object]]:
        return [entry(name, data) for name, data in self.published.items()]


def model() -> Iterator[tuple[str, bytes]]:
    header = json.dumps({"a": {"dtype": "U8", "shape": [80_000], "data_offsets": [0, 80_000]}}).encode()
    yield "model.safetensors", len(header).to_bytes(8, "little") + header + bytes(range(250)) * 320
    yield "config.json", b'{"model_type": "llama"}'
    yield "tokenizer.json", b'{"version": "1.0"}'
    yield "pytorch_model.bin", b"pickle"
    yield ".gitattributes", b"*.safetensors filter=lfs"


def entry(name: str, data: bytes) -> dict[str, object]:
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    found: dict[str, object] = {"type": "file", "path": name, "size": len(data), "oid": blob}
    if name.endswith(".safetensors"):
        sha256 = hashlib.sha256(data).hexdigest()
        found |= {"oid": "1" * 40, "lfs": {"oid": sha256, "size": len(data), "pointerSize": 134}}
    return found


class Answer(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.tokens.append(self.headers["Authorization"])
        path = urlsplit(self.path).path
        name = path.removeprefix(f"/org/tiny/resolve/{COMMIT}/")
        if self.server.token and self.headers["Authorization"] != f"Bearer {self.server.token}":
            self.say(401, b"", {"X-Error-Code": "GatedRepo", "X-Error-Message": "a token is needed"})
        elif path == f"/api/models/org/tiny/tree/{COMMIT}":
            self.say(200, json.dumps(self.server.tree()).encode(), {"Content-Type": "application/json"})
        elif name in self.server.files:
            if self.command == "GET":
                self.server.asked.append(name)
            said = entry(name, self.server.published[name])
            etag = said["lfs"]["oid"] if "lfs" in said else said["oid"]
            self.say(200, self.server.files[name], {"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"'})
        else:
            self.say(404, b"", {"X-Error-Code": "RevisionNotFound"})

    def do_HEAD(self) -> None:
        self.do_GET()

    def say(self, code: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: a test that fails shows what the stage said."""


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def opened(hub: Hub, serving_python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Site]:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_TOKEN", "of-somebody-else")

    def open_host(more: str = "", commit: str = COMMIT) -> Site:
        text = DEPLOYMENT.format(interpreter=serving_python, endpoint=hub.url, more=more, commit=commit)
        spec = parse_deployment(text, origin="tiny.yaml", base=tmp_path)
        site = Site(spec, {"here": LocalHost("here")}, say=lambda _: None)
        site.prepare()
        return site

    return open_host


def staged(path: str | Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in Path(path).iterdir() if not file.name.startswith("slipway-")}


def published(tmp_path: Path) -> list[str]:
    store = tmp_path / "root" / "models" / "tiny"
    return [path.name for path in store.iterdir() if not path.name.startswith(".")]


def test_downloaded_checked_and_staged_once(hub, opened):
    first = weights.converge(opened())
    wanted = {name: hub.files[name] for name in ("model.safetensors", "config.json", "tokenizer.json")}
    assert staged(first.detail["model"]) == wanted
    assert (len(first.detail["digest"]), first.detail["bytes"]) == (64, sum(map(len, wanted.values())))
    assert set(hub.tokens) == {None}
    asked = list(hub.asked)
    second = weights.converge(opened())
    assert (second.actions, second.detail) == (0, first.detail)
    assert hub.asked == asked
    assert "pytorch_model.bin" not in asked


def test_what_is_not_what_the_hub_publishes_is_named_and_fetched_again(hub, opened, tmp_path):
    good = hub.files["model.safetensors"]
    hub.files["model.safetensors"] = good[:-1] + b"x"
    with pytest.raises(StageError, match=r"\[here\][\s\S]*not what the hub publishes, and removed: model\.safetensors"):
        weights.converge(opened())
    assert published(tmp_path) == []
    hub.files["model.safetensors"], hub.asked = good, []
    path = weights.converge(opened()).detail["model"]
    assert staged(path)["model.safetensors"] == good
    assert hub.asked == ["model.safetensors"]


def test_a_token_comes_from_a_file_that_its_owner_alone_reads(hub, opened, tmp_path):
    hub.token = TOKEN
    with pytest.raises(StageError, match=r"hf:org/tiny@c0ffee0{34}: 401"):
        weights.converge(opened())
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    token.chmod(0o644)
    with pytest.raises(StageError, match=r"others may read .*token; chmod 600 it"):
        weights.converge(opened(f"token_file: {token}"))
    token.chmod(0o600)
    assert weights.converge(opened(f"token_file: {token}")).actions == 1
    kept = [path for path in (tmp_path / "root").rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    assert kept == []


def test_a_token_of_a_connection_is_on_the_host_for_as_long_as_it_downloads(hub, opened, tmp_path):
    hub.token = TOKEN
    site = replace(opened("token_connection: hub"), hub_token=lambda: TOKEN)
    assert weights.converge(site).actions == 1
    assert set(hub.tokens) == {f"Bearer {TOKEN}"}
    kept = [path for path in (tmp_path / "root").rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    assert kept == []


def test_a_commit_that_is_not_there_is_named(opened, tmp_path):
    with pytest.raises(StageError, match=r"hf:org/tiny@b{40}: 404"):
        weights.converge(opened(commit="b" * 40))
    assert not (tmp_path / "root" / "models").exists()
