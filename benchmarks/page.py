"""How soon the results page is usable with 10,000 runs and 100,000 cells in the store.

    .slipway/venv/bin/python benchmarks/page.py [--runs 10000] [--visits 10] [--postgres] [--pages NAME...]

A real API server of Airflow's, and headless Chromium on the same machine. Of each page: from the navigation to the
first chart on the screen, to the moment when the browser is free for the person (usable), and to the last part of the
page, which comes in turn below (whole), by the browser's own clock.
``cold`` is with an empty cache, ``warm`` as a person comes back. ``--postgres`` is as in ``results_api.py``. The page
``airflow`` is Airflow's own list of DAGs, until one of them is shown: what any page in Airflow takes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from results_api import DEPLOYMENTS, ROOT, database, fill

sys.path.insert(0, str(ROOT / "tests"))
from plugin.browser import Page, open_page
from plugin.conftest import Airflow, environment_of, free_port, open_server, run_commands

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGES = ("airflow", "overview", "deployment", "run", "compare")
CHART = "[data-slipway] :is(svg[role=img] :is(polyline, rect), canvas)"
DAG = "a[href*='/dags/deployment-']"
WATCH = """
const drawn = location.pathname.endsWith("/dags") ? DAG : CHART;
const settled = () => requestIdleCallback(() => { globalThis.times.usable = performance.now(); });
const whole = () => {
  let last = performance.now();
  new MutationObserver(() => { last = performance.now(); }).observe(document, { childList: true, subtree: true });
  const look = () => (performance.now() - last < 400 ? setTimeout(look, 50) : (globalThis.times.whole = last));
  look();
};
const painted = () => { globalThis.times = { drawn: performance.now() }; settled(); whole(); };
new MutationObserver((_, observer) => {
  if (!document.querySelector(drawn)) return;
  observer.disconnect();
  requestAnimationFrame(() => requestAnimationFrame(painted));
}).observe(document, { childList: true, subtree: true });
"""
"""Notes when what is waited for was painted, when the main thread was free after that, and when nothing more came."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--visits", type=int, default=10)
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--pages", nargs="+", choices=PAGES, default=list(PAGES))
    arguments = parser.parse_args()
    with database(arguments.postgres) as url, tempfile.TemporaryDirectory() as folder:
        fill(url, arguments.runs)
        with open_airflow(Path(folder), url) as airflow, open_page(Path(folder) / "chromium") as page:
            page.do("Page.addScriptToEvaluateOnNewDocument", source=watch())
            print(f"{url.split(':', maxsplit=1)[0]}: {arguments.runs} runs, {arguments.visits} visits a page, in ms")
            heads = "".join(f"{each + ' p50':>12}{'p95':>7}" for each in ("chart", "usable", "whole"))
            print(f"{'page':<16}{'cache':<6}{heads}")
            found = addresses(arguments.runs)
            measure(airflow, page, {name: found[name] for name in arguments.pages}, arguments.visits)


@contextmanager
def open_airflow(home: Path, url: str) -> Iterator[Airflow]:
    """An API server whose DAGs are those of the deployments in the store at ``url``."""
    airflow = Airflow(home, free_port(), {name: f"password of {name}" for name in ("admin", "red-viewer", "nobody")})
    (home / "passwords.json").write_text(json.dumps(airflow.passwords))
    environment = environment_of(airflow) | {"AIRFLOW__SLIPWAY__STORE_URL": url}
    for number in range(DEPLOYMENTS):
        wiring = (
            f"from airflow.sdk import DAG\nwith DAG('deployment-{number}.deploy', schedule=None) as dag:\n    pass\n"
        )
        (home / "dags" / "red" / f"deployment_{number}.py").write_text(wiring)
    run_commands(environment, "db migrate", "teams create red", "teams create blue", "dags reserialize")
    with open_server(airflow, environment):
        yield airflow


def watch() -> str:
    return f"const [CHART, DAG] = {json.dumps([CHART, DAG])};{WATCH}"


def addresses(runs: int) -> dict[str, str]:
    compared = ",".join(str(runs - DEPLOYMENTS * each) for each in range(6))
    return {
        "airflow": "dags",
        "overview": "plugin/slipway",
        "deployment": "plugin/slipway/deployments/deployment-0",
        "run": f"plugin/slipway/runs/{runs}",
        "compare": f"plugin/slipway/compare?runs={compared}",
    }


def measure(airflow: Airflow, page: Page, found: dict[str, str], visits: int) -> None:
    token = airflow.token("admin")
    for name, address in found.items():
        for cache in ("cold", "warm"):
            times = [visit(page, f"{airflow.url}/{address}", token, cold=cache == "cold") for _ in range(visits)]
            figures = [figure for each in zip(*times, strict=True) for figure in middle_and_tail(each)]
            told = "".join(f"{figure:>{width}.0f}" for figure, width in zip(figures, (12, 7) * 3, strict=True))
            print(f"{name:<16}{cache:<6}{told}", flush=True)


def visit(page: Page, url: str, token: str, *, cold: bool) -> tuple[float, float, float]:
    """Milliseconds from the navigation to the first chart, until the page is usable, and until it is whole."""
    if cold:
        page.do("Network.clearBrowserCache")
    page.visit(url, token)
    times = page.wait("globalThis.times?.whole && globalThis.times")
    assert page.errors == []
    return times["drawn"], times["usable"], times["whole"]


def middle_and_tail(values: Sequence[float]) -> tuple[float, float]:
    return statistics.median(values), statistics.quantiles(values, n=20, method="inclusive")[-1]


if __name__ == "__main__":
    main()
