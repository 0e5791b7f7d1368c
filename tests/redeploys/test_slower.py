"""A change that makes the server slower by more than a third, for real: Airflow, Ray, vLLM and a small model. One test
builds on another.

There are more users than the server takes at a time, so that the time to the first token is mostly their wait, and
little of it the load generator's own lateness, also where both share two cores. Completions, since a chat that must go
on after its end has tokens without a text.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import psutil
import pytest
from testbed.prober import Answers
from testbed.project import Project, open_demo

from slipway.results import Validity
from slipway.store import Run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

USERS = 7
CHANGES = {
    "max-num-seqs: 16": "max-num-seqs: 3",
    "    - {users: 1, spawn_rate: 1}\n": "",
    "    - {users: 4, spawn_rate: 4}\n": f"    - {{users: {USERS}, spawn_rate: {USERS}}}\n",
    "seconds: 20\n  warmup_s: 3": "seconds: 25\n  warmup_s: 10\n  endpoint: completions",
    "output_tokens: 32": "output_tokens: 64",
}
LIMITS = "\nverdict: {throughput_percent: 10, tpot_percent: 10}\nredeploy: {on_invalid: restore}\n"
SLOWER = '{"serve_args": {"max-num-seqs": 2}}'
"""Two users are served at a time instead of three."""

LEAST_HISTORY, MOST_BENCHMARKS, MOST_TRIES = 3, 8, 3
"""A benchmark that other programs disturbed is no history, and another one is made; so is a redeploy whose figures may
not be believed."""


@pytest.fixture(scope="module")
def project(serving_python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with open_demo(tmp_path_factory.mktemp("project"), serving_python, "slower", 23, CHANGES, LIMITS) as made:
        yield made


def test_a_deploy_and_benchmarks_make_a_history(project: Project) -> None:
    up(project, 0, "--job", "deploy")
    for _ in range(MOST_BENCHMARKS):
        if valid_runs(project) >= LEAST_HISTORY:
            break
        up(project, 0, "--job", "benchmark")
    assert valid_runs(project) >= LEAST_HISTORY


def test_one_that_is_slower_gives_way_to_the_last_good_one(project: Project) -> None:
    good = project.store().promoted("slower")
    assert good
    for _ in range(MOST_TRIES):
        with project.probing() as asked:
            said = up(project, 1, "--conf", SLOWER)
        run = project.last_run()
        if run.verdict != "invalid":
            break
    print(f"downtime_s {run.snapshot['downtime_s']:.1f}; {outages(asked)}")
    assert (run.state, run.verdict) == ("failed", "worse"), said
    assert f"throughput at {USERS} users -" in run.verdict_reason
    assert "serve.args.max-num-seqs 3 -> 2" in run.verdict_reason
    assert f"revision {good.revision_id} was put back" in said
    assert project.store().promoted("slower") == good
    assert project.store().current("slower").revision_id == good.revision_id
    assert "--max-num-seqs=3" in command_line(project)
    assert asked.sent[-1][2]
    assert "Paris" in project.ask("What is the capital of France?")
    assert 0 < run.snapshot["downtime_s"] <= asked.outage_s + 10


def up(project: Project, code: int, *arguments: str) -> str:
    """What the command said, that ended with this code; what its run measured is printed."""
    done = project.slipway("up", str(project.file), *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    print("\n".join(told(project, project.last_run())))
    return done.stdout


def told(project: Project, run: Run) -> Iterator[str]:
    yield f"run {run.id}: {run.job}, {run.state}, {run.verdict}: {run.verdict_reason}"
    for cell in project.store().cells(run.id):
        measured = cell.measurement
        speed = f"{measured.output_tokens_per_s:.1f} tokens/s, TTFT p50 {measured.ttft.p50:.2f} s"
        yield f"  {measured.load}: {speed}, {measured.validity} {'; '.join(measured.reasons)}"


def valid_runs(project: Project) -> int:
    store = project.store()
    cells = [cell.measurement for run in store.runs("slower", 100) for cell in store.cells(run.id)]
    return sum(cell.validity is Validity.VALID for cell in cells)


def outages(asked: Answers) -> str:
    """Each time without an answer, from the first failure to the last."""
    runs = [list(each) for ok, each in itertools.groupby(asked.sent, key=lambda request: request[2]) if not ok]
    return ", ".join(f"{len(failed)} failed within {failed[-1][1] - failed[0][0]:.1f} s" for failed in runs)


def command_line(project: Project) -> list[str]:
    """Of the server that runs."""
    session = project.served()["slower.vllm"].session
    assert session
    return psutil.Process(session).cmdline()
