"""The command line's words: which subcommands there are, and what each takes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from slipway.cli import bundle, db, diagnose, doctor, exchange, files, loadtest, redeploy, results, runs, sweep, weights
from slipway.errors import SlipwayError

Run = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand. Answers 0, or 1 where something is wrong; what is wrong stands on standard error."""
    arguments = _parser().parse_args(argv)
    run: Run = arguments.run
    try:
        return run(arguments)
    except SlipwayError as error:
        sys.stderr.write(f"slipway: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nslipway: interrupted; what was started goes on\n")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="slipway", description="From bare GPU hosts to a served, measured model.")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Run) -> argparse.ArgumentParser:
        first_line = (run.__doc__ or "").strip().splitlines()[0]
        added = subparsers.add_parser(name, help=first_line, description=run.__doc__)
        added.set_defaults(run=run)
        return added

    _add_files(command)
    _add_runs(command)
    _add_redeploy(command)
    _add_loadtest(command)
    _add_exchange(command)
    command("doctor", doctor.doctor)
    stored = command("db", db.db)
    stored.add_argument("verb", choices=("backup", "restore"))
    stored.add_argument("file", type=Path, metavar="FILE")
    stored.add_argument("--force", action="store_true", help="restore: replace the rows that are there")
    kept = command("weights", weights.weights)
    kept.add_argument("verb", choices=("list", "verify", "prune", "manifest"))
    kept.add_argument("file", type=Path, metavar="FILE")
    return parser


def _add_files(command: Callable[[str, Run], argparse.ArgumentParser]) -> None:
    command("check", files.check).add_argument("files", nargs="+", type=Path, metavar="FILE")
    command("plan", files.plan).add_argument("file", type=Path, metavar="FILE")
    command("diff", results.diff).add_argument("file", type=Path, metavar="FILE")
    command("diagnose", diagnose.diagnose_files).add_argument("files", nargs="+", type=Path, metavar="FILE")
    command("schema", files.schema)
    command("docs", files.docs).add_argument("folder", nargs="?", type=Path, default=Path("docs"), metavar="DIR")
    bundled = command("bundle", bundle.bundle)
    bundled.add_argument("out", type=Path, metavar="FILE")
    bundled.add_argument("--python", default="3.11", metavar="VERSION", help="of the other machine (default: 3.11)")
    bundled.add_argument(
        "--environment", action="append", default=[], metavar="NAME", help="a lock file whose wheels come along: cuda"
    )
    bundled.add_argument("--executors", action="store_true", help="with what Celery, Kubernetes and StatsD need")


def _add_runs(command: Callable[[str, Run], argparse.ArgumentParser]) -> None:
    up = command("up", runs.up)
    up.add_argument("file", type=Path, metavar="FILE")
    up.add_argument(
        "--job",
        choices=("preflight", "deploy", "benchmark", "watch", "sweep", "teardown"),
        default="deploy",
        help="what to run (default: deploy)",
    )
    up.add_argument("--conf", default="{}", metavar="JSON", help="what this run changes of the file")
    command("down", runs.down)
    shown = command("results", results.results)
    shown.add_argument("deployment", nargs="?", help="only this deployment")
    shown.add_argument("--runs", type=int, default=10, metavar="N", help="how many of the last runs (default: 10)")
    swept = command("sweep", sweep.sweep)
    swept.add_argument("deployment", metavar="NAME")
    swept.add_argument("--run", type=int, dest="run_id", metavar="RUN", help="its number (default: the last)")


def _add_redeploy(command: Callable[[str, Run], argparse.ArgumentParser]) -> None:
    asked = command("redeploy", redeploy.redeploy)
    asked.add_argument("deployment", metavar="NAME")
    asked.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="serve.args.max-num-seqs=256")
    asked.add_argument("--reason", default="", metavar="TEXT", help="kept with the run")
    asked.add_argument("--run-id", default="", metavar="ID", help="of the DAG run: asked twice, it is run once")
    asked.add_argument("--wait", action="store_true", help="follow the run to its end, and exit by its verdict")
    asked.add_argument("--url", default="", metavar="URL", help=f"Airflow's address (default: {redeploy.URL})")
    asked.add_argument("--user", default="", metavar="NAME", help=f"who asks (default: {redeploy.USER})")


def _add_loadtest(command: Callable[[str, Run], argparse.ArgumentParser]) -> None:
    test = command("loadtest", loadtest.loadtest)
    test.add_argument("file", type=Path, metavar="FILE")
    load = test.add_mutually_exclusive_group()
    load.add_argument("--users", type=int, nargs="+", metavar="N", help="users who ask again as soon as answered")
    load.add_argument("--rate", type=float, metavar="R", help="requests a second that wait for no answer")
    load.add_argument(
        "--steps",
        type=loadtest.step,
        nargs="+",
        metavar="R:S",
        help="R requests a second for S seconds; R-R2:S, a ramp",
    )
    load.add_argument("--trace", type=Path, metavar="TRACE", help="replay a file of requests with timestamps")
    test.add_argument("--unit", choices=("ms", "s"), default="ms", help="of the --trace's timestamps (default: ms)")
    test.add_argument("--speed", type=float, default=1.0, metavar="X", help="replay --trace X times as fast")
    test.add_argument("--arrivals", choices=("poisson", "constant"), help="how --rate is spaced (default: the file's)")
    test.add_argument(
        "--seconds", type=float, metavar="S", help="length of each window (default: the file's); not of --steps"
    )
    test.add_argument("--processes", type=int, metavar="N", help="load processes (default: the file's, or 1)")
    test.add_argument("--search", action="store_true", help="find the highest load that keeps the file's limits")
    test.add_argument("--web", action="store_true", help="show Locust's own page while each load runs")


def _add_exchange(command: Callable[[str, Run], argparse.ArgumentParser]) -> None:
    out = command("export", exchange.export)
    out.add_argument("run_id", type=int, metavar="RUN", help="the run's number in slipway results")
    out.add_argument("--format", choices=sorted(exchange.WRITERS), default="json", help="default: json")
    out.add_argument("--output", type=Path, metavar="PATH", help="the file or folder to write")
    taken = command("import", exchange.import_results)
    taken.add_argument("files", nargs="+", type=Path, metavar="FILE")
    taken.add_argument("--deployment", required=True, metavar="NAME", help="whose results they are")
