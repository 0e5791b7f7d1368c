"""What the deploy DAG costs over two hosts, against a plain shell script that does the same steps by ssh.

    sudo python benchmarks/overhead.py [--rounds 1] [--seconds 180] --python PYTHON_OF_A_SERVING_ENVIRONMENT

Both take bare hosts of the test bed (two network namespaces with a real sshd, tests/testbed) to a measured model: copy
the weights, start Ray's head and worker, prove the network by a collective of all ranks, start vLLM with tensor
parallel 2 across both, wait for a completion, ask the smoke questions, run the four cells of the reference deployment
(10, 50, 100 and 150 users, by default of 180 s each). The script has Slipway's very command lines for Ray, the
collective, vLLM and Locust, one after the other, and no other check. The DAG runs in an Airflow that is up already.
Printed are the DAG's tasks and wall seconds, turn about.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "include")]

from testbed.project import SHARED, Project, changed, open_project  # noqa: E402

from slipway.commands import locust, openai, ray, vllm  # noqa: E402
from slipway.embedded import Settings, up  # noqa: E402
from slipway.shell import Command  # noqa: E402
from slipway.spec import DeploymentSpec, HostSpec, Layout, parse_deployment  # noqa: E402
from slipway.stages import network, smoke  # noqa: E402
from slipway.stages.benchmark import load_plan  # noqa: E402
from slipway.stages.serve import variables  # noqa: E402

BED = ROOT / "tests" / "testbed" / "hosts.py"
EXAMPLE = ROOT / "docs" / "examples" / "two-hosts.yaml"
FOLDER = "/srv/by-hand"
LEVELS = {10: 2, 50: 5, 100: 10, 150: 10}
"""The users of each cell and how many begin a second, as in the reference deployment."""


def bed(verb: str) -> dict[str, object]:
    done = subprocess.run([sys.executable, str(BED), verb], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def ssh(host: HostSpec, line: str) -> str:
    key, known = ROOT / ".slipway/hosts/user_key", ROOT / ".slipway/hosts/known_hosts"
    options = f"-i {key} -o UserKnownHostsFile={known} -o BatchMode=yes"
    return f"ssh {options} root@{host.address} {shlex.quote(line)}"


def detached(host: HostSpec, name: str, command: Command) -> str:
    """A process of its own session, its number kept, as people do it."""
    started = (
        f"cd {FOLDER}; setsid nohup {command.line()} > {name}.log 2>&1 < /dev/null & echo $! > {FOLDER}/{name}.pid"
    )
    return ssh(host, started)


def curl(request: openai.Request) -> str:
    body = ["-d", json.dumps(request["json"]), "-H", "Content-Type: application/json"] if "json" in request else []
    return shlex.join(["curl", "-sf", "-o", "/dev/null", *body, str(request["url"])])


def by_hand(spec: DeploymentSpec, python: str, load: Path) -> Iterator[str]:
    """The lines of the script, with the deployment's own folder as that of the script."""
    yield "set -euo pipefail"
    model, token = f"{FOLDER}/model", Layout(spec.root).ray_token(spec.name)
    for host in spec.hosts:
        yield ssh(host, f"test -x {python} && mkdir -p {FOLDER} && cp -r {spec.weights.source} {model}")
        yield ssh(host, f"mkdir -p {Path(token).parent} && umask 077 && echo {'0' * 64} > {token}")
    yield detached(spec.head, "ray", ray.role(spec, spec.head, python).steps[0])
    probe = f"import socket; socket.create_connection(('{spec.head.address}', {spec.ray.ports.gcs}))"
    for host in spec.workers:
        yield f"until {ssh(host, shlex.join((python, '-c', probe)))} 2>/dev/null; do sleep 1; done"
        yield detached(host, "ray", ray.role(spec, host, python).steps[0])
    [parts] = network.plan(spec, python)
    for part in parts:
        host = next(each for each in spec.hosts if each.name == part.host)
        yield f"{ssh(host, part.command.line())} <<< {shlex.quote(part.command.stdin.decode())} &"
    yield "wait"
    server = vllm.role(spec, spec.head, (python, "-m", vllm.MODULE), model, variables(spec, spec.head))
    yield detached(spec.head, "vllm", server.steps[0])
    yield f"until {curl(openai.completion(spec, 'Hello', max_tokens=1))}; do sleep 1; done 2>/dev/null"
    yield from (curl(request) for request in smoke.requests(spec).values())
    for level in spec.benchmark.levels:
        for step in locust.cell(sys.executable, load_plan(spec, level, load / str(level.users))).steps:
            yield step.text()


def end(spec: DeploymentSpec) -> None:
    """Stop what the script has started, by the session that each process leads, and remove its files."""
    for host, names in ((spec.head, ("vllm", "ray")), *((host, ("ray",)) for host in spec.workers)):
        stop = "; ".join(f"kill -TERM -- -$(cat {FOLDER}/{name}.pid); sleep 5" for name in names)
        subprocess.run(ssh(host, f"({stop}) 2>/dev/null; rm -rf {FOLDER} {spec.root}"), shell=True, check=True)


def timed_by_hand(spec: DeploymentSpec, python: str, folder: Path) -> float:
    script = folder / "by-hand.sh"
    script.write_text("\n".join(by_hand(spec, python, folder / "load")))
    began = time.monotonic()
    subprocess.run(["bash", str(script)], check=True, stdout=subprocess.DEVNULL, stderr=(folder / "log").open("w"))
    return time.monotonic() - began


def timed_dag(project: Project, within_s: float) -> float:
    began = time.monotonic()
    done = project.slipway("up", str(project.file), timeout_s=within_s)
    assert done.returncode == 0, done.stdout + done.stderr
    seconds = time.monotonic() - began
    print(*(line for line in done.stdout.splitlines() if ": success after" in line), sep="\n", flush=True)
    done = project.slipway("up", str(project.file), "--job", "teardown")
    assert done.returncode == 0, done.stdout + done.stderr
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description="The deploy DAG over two hosts against a plain shell script.")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=180, help="of each of the four cells")
    parser.add_argument("--python", required=True, help="of a serving environment that is there")
    options = parser.parse_args()
    told = bed("up")
    changes = {
        "source: /opt/slipway/.slipway/shared/tiny-qwen3": f"source: {SHARED}/tiny-qwen3",
        "lock: cpu\n  python: python3.11": f"existing: {options.python}",
        "    - {users: 1, spawn_rate: 1}\n    - {users: 2, spawn_rate: 2}\n": "".join(
            f"    - {{users: {users}, spawn_rate: {rate}}}\n" for users, rate in LEVELS.items()
        ),
        "max-num-seqs: 4": "max-num-seqs: 64",
        "seconds: 10": f"seconds: {options.seconds}",
    }
    text = changed(EXAMPLE.read_text(), changes)
    spec = parse_deployment(text.replace("/srv/slipway", f"{FOLDER}-root"), origin="pair.yaml", base=ROOT)
    os.environ |= dict(told["environment"])  # type: ignore[arg-type]
    hands, dags = [], []
    with tempfile.TemporaryDirectory() as scratch, open_project(Path(scratch) / "pair", "pair", 27190, text) as project:
        up(Settings(project.folder, project.airflow_port), lambda _: None)
        project.airflow("connections", "import", str(ROOT / ".slipway/hosts/connections.json"))
        for number in range(options.rounds):
            folder = Path(scratch) / str(number)
            folder.mkdir()
            try:
                hands.append(timed_by_hand(spec, options.python, folder))
                print(f"by hand {hands[-1]:.1f} s", flush=True)
            finally:
                end(spec)
            dags.append(timed_dag(project, 600 + 2 * len(LEVELS) * options.seconds))
            print(f"round {number + 1}: by hand {hands[-1]:.1f} s, the DAG {dags[-1]:.1f} s", flush=True)
    ratio = statistics.median(dags) / statistics.median(hands)
    print(
        f"medians: by hand {statistics.median(hands):.1f} s, the DAG {statistics.median(dags):.1f} s, {ratio:.3f} times"
    )
    bed("down")


if __name__ == "__main__":
    main()
