"""Headless Chromium, spoken to by its own DevTools protocol."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx
from websocket import WebSocket, create_connection

WAIT_S = 20
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--remote-debugging-port=0", "--remote-allow-origins=*", "--hide-scrollbars", "--disable-extensions"),
)

NAMED = ("button", "link", "checkbox", "combobox", "textbox", "img", "table", "region")
"""Roles that say nothing without a name."""


class Page:
    """One tab. ``errors`` is what the console said as an error since the last visit."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket, self._ids = socket, count(1)
        self.errors: list[str] = []
        self._setup = ""
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility", "DOM"):
            self.do(f"{domain}.enable")

    def do(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol, and its result."""
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            said = json.loads(self._socket.recv())
            if said.get("id") == number:
                assert "error" not in said, said
                result: dict[str, Any] = said["result"]
                return result
            self._note(said)

    def visit(self, url: str, token: str, *, language: str = "en") -> None:
        """Open ``url`` as whoever holds ``token``, afresh."""
        self.do("Network.setCookie", name="_token", value=token, url=url, httpOnly=True)
        kept = {"theme": "light", "i18nextLng": language, "timezone": '"UTC"'}
        settings = "".join(f"localStorage.setItem({key!r}, {value!r});" for key, value in kept.items())
        source = f"if (location.protocol !== 'about:') {{ {settings} }}"
        if self._setup:
            self.do("Page.removeScriptToEvaluateOnNewDocument", identifier=self._setup)
        self._setup = self.do("Page.addScriptToEvaluateOnNewDocument", source=source)["identifier"]
        size = {"width": 1440, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.do("Emulation.setDeviceMetricsOverride", **size)
        self.do("Page.navigate", url="about:blank")
        self.errors.clear()
        self.do("Page.navigate", url=url)

    def evaluate(self, expression: str) -> Any:
        answer = self.do("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, expression: str) -> Any:
        """The value of ``expression`` once it is true."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            try:
                if value := self.evaluate(expression):
                    return value
            except AssertionError:  # between two documents
                pass
            time.sleep(0.05)
        raise AssertionError(f"{expression} did not become true; the page says: {self.text()[:2000]}; {self.errors}")

    def wait_text(self, *texts: str) -> None:
        """Until the page shows all of them."""
        for text in texts:
            self.wait(f"document.body.innerText.includes({json.dumps(text)})")

    def text(self) -> str:
        said: str = self.evaluate("document.body?.innerText ?? ''")
        return said

    def darken(self) -> None:
        """As if another tab had chosen Airflow's dark theme."""
        change = "{key: 'theme', newValue: 'dark', storageArea: localStorage}"
        self.evaluate(f"localStorage.setItem('theme', 'dark'); dispatchEvent(new StorageEvent('storage', {change}))")
        self.wait("document.documentElement.classList.contains('dark')")

    def nameless(self, inside: str) -> list[str]:
        """What is there to press, to choose or to see that a screen reader has no name for."""
        root = self.do("DOM.getDocument")["root"]["nodeId"]
        ground = self.do("DOM.querySelector", nodeId=root, selector=inside)["nodeId"]
        asked = [self.do("Accessibility.queryAXTree", nodeId=ground, role=role)["nodes"] for role in NAMED]
        found = [node for nodes in asked for node in nodes]
        assert found
        return [node["role"]["value"] for node in found if not node.get("name", {}).get("value")]

    def picture(self, path: Path, height: int) -> None:
        """What is seen, of the first ``height`` pixels, as a PNG."""
        width = self.evaluate("innerWidth")
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        time.sleep(0.5)
        shot = self.do("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(shot["data"]))

    def _note(self, said: dict[str, Any]) -> None:
        about = said.get("params", {})
        if said["method"] == "Runtime.consoleAPICalled" and about["type"] in ("error", "assert"):
            self.errors.append(" ".join(str(part.get("value", part.get("description"))) for part in about["args"]))
        if said["method"] == "Runtime.exceptionThrown":
            self.errors.append(str(about["exceptionDetails"]))
        if said["method"] == "Log.entryAdded" and about["entry"]["level"] == "error":
            self.errors.append(f"{about['entry']['text']} {about['entry'].get('url', '')}")


@contextmanager
def open_page(profile: Path) -> Iterator[Page]:
    """A tab of a Chromium of its own, which keeps its state in ``profile``."""
    command = ["chromium", *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port = _port(profile, process)
        target = httpx.put(f"http://127.0.0.1:{port}/json/new?about:blank", trust_env=False).json()
        socket = create_connection(target["webSocketDebuggerUrl"], timeout=30)
        yield Page(socket)
        socket.close()
    finally:
        process.terminate()
        process.wait(timeout=20)


def _port(profile: Path, process: subprocess.Popen[bytes]) -> int:
    """Chromium writes it once it listens."""
    written = profile / "DevToolsActivePort"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, "chromium ended"
        if written.exists() and (lines := written.read_text().split()):
            return int(lines[0])
        time.sleep(0.1)
    raise AssertionError("chromium did not open its port")
