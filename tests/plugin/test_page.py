"""The page, as Chromium shows it in a real Airflow: each of its parts, light and dark, without an error."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from plugin.browser import Page, open_page
from plugin.history import LEVELS, NAME, RUNS_A_REVISION, WORSE, fill

from slipway.spec import load_deployment
from slipway.store import open_store

ROOT = Path(__file__).parents[2]
PICTURES = os.environ.get("SLIPWAY_PICTURES")
"""A folder that takes a picture of each page; without it none is kept."""
HEIGHTS = {"overview": 560, "deployment": 1900, "run": 2600, "compare": 1500, "dag": 900, "dag-run": 900}
PAGES = {
    "overview": ("plugin/slipway", [NAME, "red", "blue", "Highest throughput of each run"]),
    "deployment": (
        f"plugin/slipway/deployments/{NAME}",
        ["by load", "(baseline)", "Outliers: Run", "Time to ready", "serve.args.max-num-seqs"],
    ),
    "run": (
        "plugin/slipway/runs/{deployed}",
        [
            "the server was asked before it was ready",
            "Goodput",
            "Server: requests waiting",
            "Restarts",
            "Commands",
            "users-64/report.html",
            "Distributions",
            "Preflight",
            "Network proof",
            "Smoke checks",
        ],
    ),
    "compare": (
        "plugin/slipway/compare?runs={before},{worse},{last}",
        ["Output tok/s", "times the noise", "within noise"],
    ),
    "dag": (f"dags/{NAME}.deploy/plugin/slipway-dag", ["by load", "Revisions"]),
    "dag-run": (f"dags/{NAME}.deploy/runs/night-24/plugin/slipway-run", ["Distributions", "Smoke checks"]),
}
"""Each page: its address, and what it must say."""
GROUND = "getComputedStyle(document.querySelector('[data-slipway] section, [data-slipway] article')).backgroundColor"


@pytest.fixture(scope="module")
def ids(airflow: Any) -> dict[str, int]:
    """Runs of the deployment that is drawn, by what they stand for."""
    demo = load_deployment(ROOT / "include" / "deployments" / "demo.yaml")
    with open_store(f"sqlite:///{airflow.home / 'slipway.db'}") as store:
        runs = fill(store, demo)
    for name in ("users-64/report.html", "users-64/requests.parquet", "evidence-ready-1/here/quay.vllm.log"):
        path = airflow.home / "slipway-artifacts" / f"run-{runs[3 * RUNS_A_REVISION]}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("kept")
    with airflow.client("admin") as client:
        asked = {"logical_date": None, "dag_run_id": "night-24"}
        answer = client.post(f"/api/v2/dags/{NAME}.deploy/dagRuns", json=asked)
    assert answer.is_success, answer.text
    return {
        "deployed": runs[3 * RUNS_A_REVISION],
        "before": runs[WORSE - 1],
        "worse": runs[WORSE],
        "last": runs[-1],
    }


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with open_page(tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest.fixture(scope="module")
def token(airflow: Any) -> str:
    found: str = airflow.token("admin")
    return found


@pytest.mark.parametrize("name", PAGES)
def test_each_page_shows_what_it_is_for_light_and_dark_and_to_everybody(
    airflow: Any, page: Page, ids: dict[str, int], token: str, name: str
) -> None:
    address, texts = PAGES[name]
    page.visit(f"{airflow.url}/{address.format(**ids)}", token)
    page.wait_text(*texts, "REHEARSAL")
    page.wait("!document.querySelector('[data-slipway] [role=status]')")
    light = page.evaluate(GROUND)
    keep_picture(page, f"{name}-light")
    page.darken()
    page.wait(f"{GROUND} !== {light!r}")
    keep_picture(page, f"{name}-dark")
    assert page.nameless("[data-slipway]") == []
    assert page.errors == []


def keep_picture(page: Page, name: str) -> None:
    if PICTURES:
        page.picture(Path(PICTURES) / f"page-{name}.png", HEIGHTS[name.rpartition("-")[0]])


def test_the_language_is_airflows(airflow: Any, page: Page, ids: dict[str, int], token: str) -> None:
    page.visit(f"{airflow.url}/plugin/slipway/runs/{ids['deployed']}", token, language="zh-CN")
    page.wait_text("分布", "预检", "演练")
    page.visit(f"{airflow.url}/plugin/slipway/deployments/{NAME}", token, language="zh-CN")
    page.wait_text("各负载下的吞吐量与延迟", "就绪用时")
    assert page.errors == []


def test_runs_are_chosen_by_keyboard_and_the_address_keeps_them(
    airflow: Any, page: Page, ids: dict[str, int], token: str
) -> None:
    page.visit(f"{airflow.url}/plugin/slipway/deployments/{NAME}", token)
    page.wait("document.querySelectorAll('table[aria-label=Runs] input[type=checkbox]').length > 2")
    for place in (0, 1):
        page.evaluate(f"document.querySelectorAll('table[aria-label=Runs] input[type=checkbox]')[{place}].focus()")
        page.do("Input.dispatchKeyEvent", type="keyDown", key=" ", code="Space", text=" ", windowsVirtualKeyCode=32)
        page.do("Input.dispatchKeyEvent", type="keyUp", key=" ", code="Space", windowsVirtualKeyCode=32)
    page.wait("[...document.querySelectorAll('button')].some(each => each.innerText === 'Compare 2 runs')")
    page.evaluate("[...document.querySelectorAll('button')].find(each => each.innerText === 'Compare 2 runs').click()")
    page.wait("location.search.startsWith('?runs=') && location.pathname.endsWith('/plugin/slipway/compare')")
    page.wait_text("Output tok/s")
    assert page.evaluate("new URLSearchParams(location.search).get('runs')").split(",") == [
        str(each) for each in sorted([ids["last"], ids["last"] - 1])
    ]
    assert page.errors == []


AGAIN = "[...document.querySelectorAll('button')].find(each => each.innerText.startsWith('Deploy this again'))"
"""The newest revision that does not run."""


def test_an_earlier_revision_is_deployed_again_after_a_look_at_what_that_does(
    airflow: Any, page: Page, ids: dict[str, int], token: str
) -> None:
    page.visit(f"{airflow.url}/plugin/slipway/deployments/{NAME}", token)
    page.wait(f"{AGAIN} && !{AGAIN}.disabled")
    page.evaluate(f"{AGAIN}.click()")
    page.wait_text("the last good revision is put back", "Cancel")
    assert page.nameless("[role=dialog]") == []
    page.evaluate("[...document.querySelectorAll('[role=dialog] button')].find(e => e.innerText === 'Start').click()")
    page.wait_text("Started:")
    with airflow.client("admin") as client:
        started = client.get(f"/api/v2/dags/{NAME}.deploy/dagRuns?order_by=-id&limit=1").json()["dag_runs"]
    baseline = page.evaluate("document.querySelector('table[aria-label=Revisions] tr:nth-child(2) code').innerText")
    assert [run["conf"] for run in started] == [{"revision": baseline}]
    assert page.errors == []


def test_without_the_right_the_buttons_say_so(airflow: Any, page: Page, ids: dict[str, int]) -> None:
    page.visit(f"{airflow.url}/plugin/slipway/deployments/red", airflow.token("red-viewer"))
    refusal = "You may not start red.deploy: ask for the right to create its DAG runs in Airflow."
    page.wait(f"[...document.querySelectorAll('button')].some(e => e.disabled && e.title === {refusal!r})")


def test_a_download_is_what_the_api_says(
    airflow: Any, page: Page, ids: dict[str, int], token: str, tmp_path: Path
) -> None:
    page.do("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    page.visit(f"{airflow.url}/plugin/slipway/runs/{ids['last']}", token)
    page.wait_text("CSV")
    page.evaluate("[...document.querySelectorAll('button')].find(each => each.innerText === 'CSV').click()")
    head, *lines = downloaded(tmp_path / f"{NAME}-run-{ids['last']}.csv").strip().split("\n")
    assert head.startswith("run_id,deployment,rehearsal,users,rate,shape,validity,")
    assert [line.split(",")[:5] for line in lines] == [
        [str(ids["last"]), NAME, "true", str(users), "0"] for users in LEVELS
    ]
    assert page.errors == []


def downloaded(path: Path) -> str:
    """The text of a file that the browser is about to write; until it has, it holds the name with an empty file."""
    deadline = time.monotonic() + 20
    while not path.exists() or path.stat().st_size == 0:
        assert time.monotonic() < deadline, [each.name for each in path.parent.iterdir()]
        time.sleep(0.1)
    return path.read_text(encoding="utf-8")


def test_what_may_not_be_seen_says_what_to_do(airflow: Any, page: Page, ids: dict[str, int]) -> None:
    page.visit(f"{airflow.url}/plugin/slipway/runs/{airflow.runs['blue.deploy']}", airflow.token("red-viewer"))
    page.wait_text("(403)", "Ask for the right to read the deployment's DAG")
    page.visit(f"{airflow.url}/dags/red.deploy/plugin/slipway-dag", airflow.token("red-viewer"))
    page.wait_text("Revisions", "10")
    page.visit(f"{airflow.url}/plugin/slipway/runs/2147483647", airflow.token("red-viewer"))
    page.wait_text("(404)", "It may not have begun yet")
