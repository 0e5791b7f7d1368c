"""Roles as the host sees them: every test starts real agents and real processes."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

PYTHON = sys.executable

READY_SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
    def log_message(self, *args):
        pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

ENGINE = """
import http.server, os, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        counted = time.monotonic() if os.path.exists(sys.argv[2] + "/counts") else 7
        self.answer(f'tokens_total{{engine="0"}} {counted}\\n'.encode())
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        while os.path.exists(sys.argv[2] + "/hangs"):
            time.sleep(0.05)
        self.answer(b"{}")
    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

FAMILY = """
import os, signal, sys, time
pids = []
def child(escape):
    pid = os.fork()
    if pid:
        return pids.append(pid)
    os.environ.clear()
    if escape:
        os.setsid()
        if os.fork():
            os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    open(os.path.join(sys.argv[1], str(os.getpid())), "w").close()
    os.execve("/bin/sleep", ["VLLM::EngineCore", "300"], {})
child(escape=False)
child(escape=True)
time.sleep(300)
"""


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def family(agents, folder: Path, eventually, **wanted) -> tuple[dict, list[int]]:
    """A server with a child in its session and one that left it, both without name, environment and manners."""
    folder.mkdir(exist_ok=True)
    status = agents.start([PYTHON, "-c", FAMILY, str(folder)], role="demo.vllm", server=True, **wanted)
    eventually(lambda: len(list(folder.iterdir())) == 2)
    pids = [status["session"], *(int(path.name) for path in folder.iterdir())]
    eventually(lambda: all(str(pid) in (agents.folder / "demo.vllm/processes.json").read_text() for pid in pids))
    return status, pids


class TestAJob:
    def test_runs_again_where_that_is_asked_for(self, agents):
        for _ in range(2):
            assert agents.start(["true"], again=True)["started"]
            assert agents.ended()["state"] == "done"
        assert not agents.start(["true"])["started"]

    def test_runs_its_steps_in_turn_and_is_done_once(self, agents):
        steps = sh("echo first; echo oops >&2"), sh("echo second")
        assert agents.start(*steps, labels={"deployment": "demo"}, ports=[8000])["started"]
        done = agents.ended()
        assert (done["state"], done["exit"]["code"], done["step"], done["steps"]) == ("done", 0, 1, 2)
        assert (done["labels"], done["ports"], done["digest"]) == ({"deployment": "demo"}, [8000], "d1")
        assert agents.log().startswith("first\noops\nsecond\n")
        assert done["started_at"] <= done["ended_at"] <= time.time()

        again = agents.start(*steps)
        assert (again["started"], again["state"]) == (False, "done")
        assert agents.start(*steps, digest="d2")["started"]
        assert agents.ended()["digest"] == "d2"
        assert (agents.folder / "demo.job" / "log.1").read_text().startswith("first\n")

    def test_a_failed_step_ends_it_and_a_start_runs_it_again(self, agents):
        agents.start(sh("exit 3"), sh("echo never"))
        failed = agents.ended()
        assert failed["state"] == "failed"
        assert failed["exit"] == {"code": 3, "signal": None, "step": 0, "reason": "exit code 3"}
        assert "never" not in agents.log()
        assert agents.start(sh("true"))["started"]
        assert agents.ended()["state"] == "done"

    def test_a_killed_step_has_its_signal(self, agents):
        agents.start(sh("kill -9 $$"))
        assert agents.ended()["exit"] == {"code": None, "signal": 9, "step": 0, "reason": "signal 9"}

    def test_what_a_step_leaves_running_is_swept(self, agents, tmp_path, alive):
        agents.start(sh(f"sleep 300 & echo $! > {tmp_path}/pid"), sh(f"echo $$ > {tmp_path}/second"))
        assert agents.ended()["state"] == "done"
        assert not alive(int((tmp_path / "pid").read_text()))
        assert (tmp_path / "second").exists()

    def test_gets_its_environment_input_and_folder(self, agents, tmp_path):
        secret = tmp_path / "secret.json"
        secret.touch(mode=0o600)
        secret.write_text('{"KEY": "hidden", "OWN": "from the file"}')
        step = {"argv": sh("cat; pwd; echo $OWN $KEY $PATH"), "env": {"OWN": "step"}, "stdin": "input ü\n"}
        agents.start(steps=[step, {**step, "cwd": str(tmp_path), "env": {}}], env_file=str(secret))
        agents.ended()
        said = agents.log().splitlines()
        assert said[:3] == ["input ü", str(agents.folder / "demo.job"), f"from the file hidden {os.environ['PATH']}"]
        assert said[4] == str(tmp_path)
        assert "hidden" not in (agents.folder / "demo.job" / "state.json").read_text()

    def test_a_secret_file_that_others_can_read_is_refused(self, agents, tmp_path):
        secret = tmp_path / "secret.json"
        secret.write_text("{}")
        secret.chmod(0o640)
        assert "its mode must be 0600" in str(agents.refusal("start", agents.request(sh("true"), env_file=str(secret))))
        assert agents.status()["state"] == "failed"

    @pytest.mark.parametrize(
        ("step", "named"),
        [
            ({"argv": ["/no/such/program", "x"]}, "'/no/such/program': No such file"),
            ({"argv": ["no-such-program"]}, "'no-such-program': No such file"),
            ({"argv": ["/etc/passwd"]}, "'/etc/passwd': Permission denied"),
            ({"argv": ["true"], "cwd": "/no/such/folder"}, "in the folder '/no/such/folder'"),
        ],
    )
    def test_a_program_that_cannot_start_is_named(self, agents, step, named):
        assert named in str(agents.refusal("start", agents.request(steps=[step])))
        status = agents.status()
        assert (status["state"], status["alive"]) == ("failed", False)
        assert named in status["exit"]["reason"]

    def test_its_folder_is_private(self, agents):
        agents.start(sh("true"))
        agents.ended()
        modes = {path.name: path.stat().st_mode & 0o777 for path in (agents.folder / "demo.job").iterdir()}
        assert set(modes.values()) == {0o600}
        assert (agents.folder / "demo.job").stat().st_mode & 0o777 == 0o700


class TestAServer:
    def test_any_end_that_was_not_asked_for_is_a_failure(self, agents):
        agents.start(sh("exit 0"), role="demo.vllm", server=True)
        status = agents.ended("demo.vllm")
        assert (status["state"], status["exit"]["code"]) == ("failed", 0)

    def test_start_leaves_nothing_open_and_is_idempotent(self, agents):
        began = time.monotonic()
        wanted = agents.request(["sleep", "300"], role="demo.vllm", server=True)
        first = agents.kit.ask("agent", "start", wanted)
        second = agents.kit.ask("agent", "start", wanted)
        assert time.monotonic() - began < 5
        assert (first["started"], first["state"], first["alive"]) == (True, "running", True)
        assert (second["started"], second["session"]) == (False, first["session"])
        open_files = {path.name: str(path.readlink()) for path in Path(f"/proc/{first['session']}/fd").iterdir()}
        assert open_files == {"0": "/dev/null", "1": first["log"], "2": first["log"]}
        assert os.getsid(first["agent_pid"]) == first["agent_pid"] != first["session"] == os.getsid(first["session"])

    def test_has_the_signals_of_a_fresh_login(self, agents):
        started = agents.start(["sleep", "300"], role="demo.vllm", server=True)
        words = Path(f"/proc/{started['session']}/status").read_text().split()
        masks = [int(words[words.index(f"{name}:") + 1], 16) for name in ("SigBlk", "SigIgn", "SigCgt")]
        assert [mask & 0x7FFFFFFF for mask in masks] == [0, 0, 0]  # signals 1 to 31; the C library has 32 and 33

    def test_a_start_while_a_dead_one_is_swept_waits_for_it(self, agents, tmp_path, eventually):
        status, pids = family(agents, tmp_path / "family", eventually, stop={"term_s": 0.1, "group_s": 1.0})
        os.kill(status["session"], signal.SIGKILL)
        eventually(lambda: agents.status("demo.vllm")["state"] == "failed")
        assert agents.status("demo.vllm")["alive"]
        assert agents.start(["sleep", "300"], role="demo.vllm", server=True)["started"]
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)

    def test_another_digest_is_refused_while_it_is_alive(self, agents):
        agents.start(["sleep", "300"], role="demo.vllm", digest="aaa")
        refused = agents.refusal("start", agents.request(["sleep", "300"], role="demo.vllm", digest="bbb"))
        assert str(refused) == "the role demo.vllm runs with digest aaa, not bbb"
        assert refused.hint == "stop it first"

    def test_of_concurrent_starts_exactly_one_wins(self, agents):
        with ThreadPoolExecutor(4) as pool:
            wanted = agents.request(["sleep", "300"], role="demo.vllm")
            answers = list(pool.map(lambda _: agents.kit.ask("agent", "start", wanted), range(4)))
        assert sorted(answer["started"] for answer in answers) == [False, False, False, True]
        assert len({answer["session"] for answer in answers}) == 1

    def test_is_ready_then_restarted_until_its_budget_is_spent(self, agents, free_port):
        url = f"http://127.0.0.1:{free_port}/health"
        wanted = {"role": "demo.vllm", "server": True, "ready": {"url": url}, "restart": {"times": 1, "window_s": 600}}
        started = agents.start([PYTHON, "-c", READY_SERVER, str(free_port)], **wanted)
        ready = agents.reached("ready", role="demo.vllm")
        assert ready["ready_at"] > started["started_at"]
        os.kill(ready["session"], signal.SIGKILL)

        again = agents.reached("ready", role="demo.vllm", restarts=1)
        assert again["session"] != ready["session"]
        assert again["agent_pid"] == ready["agent_pid"]
        assert again["ready_at"] > ready["ready_at"]
        assert (again["restarts"][0]["signal"], again["restarts"][0]["code"]) == (9, None)
        assert again["restarts"][0]["cause"] == "signal"
        os.kill(again["session"], signal.SIGKILL)

        failed = agents.ended("demo.vllm")
        assert (failed["state"], failed["exit"]["signal"], len(failed["restarts"])) == ("failed", 9, 1)

    def test_is_not_restarted_before_it_was_ready(self, agents, free_port):
        url = f"http://127.0.0.1:{free_port}/health"
        agents.start(sh("exit 1"), role="demo.vllm", server=True, ready={"url": url}, restart={"times": 3})
        failed = agents.ended("demo.vllm")
        assert (failed["state"], failed["restarts"], failed["ready_at"]) == ("failed", [], None)

    def test_is_not_restarted_for_a_cause_against_which_that_does_not_help(self, agents, free_port):
        """The cause is looked for in what it said since it was ready."""
        says = "print('slow start', flush=True)"
        dies = "signal.signal(signal.SIGUSR1, lambda *_: [print('all broken', flush=True), os._exit(0)])"
        program = f"import os, signal\n{says}\n{dies}\n{READY_SERVER}"
        causes = [
            {"id": "slow", "pattern": "slow start", "times": 3},
            {"id": "broken", "pattern": "broken", "times": 0},
        ]
        agents.start(
            [PYTHON, "-c", program, str(free_port)],
            role="demo.vllm",
            server=True,
            ready={"url": f"http://127.0.0.1:{free_port}/health"},
            restart={"times": 3, "causes": causes},
        )
        os.kill(agents.reached("ready", role="demo.vllm")["session"], signal.SIGUSR1)
        failed = agents.ended("demo.vllm")
        assert (failed["state"], failed["restarts"], failed["exit"]["cause"]) == ("failed", [], "broken")
        assert failed["exit"]["reason"] == "exit code 0 (broken: a restart does not help)"

    def engine(self, agents, folder: Path, port: int, **wanted) -> dict:
        """A server whose engine hangs while ``hangs`` is in the folder, and counts while ``counts`` is."""
        asked = {
            "completion": {"method": "POST", "url": f"http://127.0.0.1:{port}/v1", "json": {}, "timeout_s": 0.3},
            "metrics": {"url": f"http://127.0.0.1:{port}/metrics", "timeout_s": 2},
            "health": {"url": f"http://127.0.0.1:{port}/health", "timeout_s": 2},
        }
        liveness = {**asked, "signs": ["tokens_total"], "idle_s": 0.4, "misses": 3}
        argv = [PYTHON, "-c", ENGINE, str(port), str(folder)]
        ready = {"url": f"http://127.0.0.1:{port}/health"}
        agents.start(argv, role="demo.vllm", server=True, ready=ready, liveness=liveness, **wanted)
        return agents.reached("ready", role="demo.vllm")

    def test_one_whose_engine_hangs_is_ended_and_started_again(self, agents, tmp_path, free_port, eventually, alive):
        ready = self.engine(agents, tmp_path, free_port, restart={"times": 1})
        time.sleep(1.5)
        assert agents.status("demo.vllm")["restarts"] == [], "one that answers is left alone"
        (tmp_path / "hangs").touch()
        eventually(lambda: agents.status("demo.vllm")["restarts"])
        (tmp_path / "hangs").unlink()
        again = agents.reached("ready", role="demo.vllm", restarts=1)
        assert again["restarts"][0]["cause"] == "wedged"
        assert not alive(ready["session"])
        (tmp_path / "hangs").touch()
        failed = agents.ended("demo.vllm")
        assert (failed["state"], failed["exit"]["cause"]) == ("failed", "wedged")
        assert failed["exit"]["reason"].startswith("the engine hangs: ")

    def test_one_whose_engine_is_saturated_is_left_alone(self, agents, tmp_path, free_port):
        (tmp_path / "hangs").touch()
        (tmp_path / "counts").touch()
        self.engine(agents, tmp_path, free_port, restart={"times": 1})
        time.sleep(3)
        assert (agents.status("demo.vllm")["state"], agents.status("demo.vllm")["restarts"]) == ("ready", [])

    def test_its_orphans_are_swept_when_it_dies(self, agents, tmp_path, eventually, alive):
        status, pids = family(agents, tmp_path / "family", eventually)
        os.kill(status["session"], signal.SIGKILL)
        assert agents.ended("demo.vllm")["exit"]["signal"] == 9
        assert not any(alive(pid) for pid in pids)


class TestStop:
    def test_lets_it_end_by_itself(self, agents, eventually):
        agents.start(sh("trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.05; done"), role="demo.vllm")
        eventually(lambda: "up" in agents.log("demo.vllm"))
        answer = agents.ask("stop", "demo.vllm")
        assert (answer["stopped"], answer["acted"], answer["left"]) == (True, True, [])
        status = agents.status("demo.vllm")
        assert (status["state"], status["alive"], status["exit"]["code"]) == ("stopped", False, 5)
        assert "bye" in agents.log("demo.vllm")

    def test_gives_the_first_process_time_to_end_the_others_itself(self, agents, tmp_path, eventually):
        child = f"trap 'echo rude' TERM; echo up; until [ -e {tmp_path}/end ]; do sleep 0.05; done; echo polite"
        leader = f"trap 'touch {tmp_path}/end; wait; exit 0' TERM; ({child}) & wait"
        agents.start(sh(leader), role="demo.vllm", server=True, stop={"term_s": 5, "group_s": 0.3})
        eventually(lambda: "up" in agents.log("demo.vllm"))
        assert agents.ask("stop", "demo.vllm")["stopped"]
        assert "polite" in agents.log("demo.vllm")
        assert "rude" not in agents.log("demo.vllm")

    def test_ends_a_whole_family_that_ignores_it(self, agents, tmp_path, eventually, alive):
        _, pids = family(agents, tmp_path / "family", eventually)
        assert len({os.getsid(pid) for pid in pids}) == 2
        answer = agents.ask("stop", "demo.vllm")
        assert (answer["stopped"], answer["left"]) == (True, [])
        assert 0.3 <= answer["seconds"] < 5
        assert not any(alive(pid) for pid in pids)

    def test_what_is_absent_or_has_ended_is_stopped_already(self, agents):
        assert agents.ask("stop", "nothing") == {"stopped": True, "acted": False, "left": [], "seconds": 0.0}
        assert not (agents.folder / "nothing").exists()
        agents.start(sh("true"))
        agents.ended()
        answer = agents.ask("stop")
        assert (answer["stopped"], answer["acted"], agents.status()["state"]) == (True, False, "done")

    def test_ends_a_job_between_its_steps(self, agents):
        agents.start(["sleep", "300"], sh("echo never"))
        agents.ask("stop")
        assert agents.status()["state"] == "stopped"
        assert "never" not in agents.log()


class TestARoleThatStartsAnother:
    """As Airflow does, which runs under an agent itself: what it started outlives it."""

    @pytest.fixture
    def nested(self, agents, eventually):
        """The state of the outer role; and of the inner one its agent, its server, and a child that lost its mark."""
        inner = agents.request(sh("env -i sleep 300 & exec sleep 300"), role="demo.vllm", server=True)
        call = [PYTHON, str(agents.kit.path), "agent", "start"]
        step = {"argv": ["sh", "-c", '"$@"; exec sleep 300', "sh", *call], "stdin": json.dumps(inner)}
        outer = agents.start(role="airflow", steps=[step], server=True)
        eventually(lambda: agents.status("demo.vllm")["state"] == "running")
        pids = [agents.status("demo.vllm")[name] for name in ("agent_pid", "session")]
        eventually(lambda: children(pids[1]) and parent(pids[0]) == outer["agent_pid"])
        return outer, [*pids, *children(pids[1])]

    def test_its_stop_spares_the_other(self, agents, nested, alive):
        _, inner_pids = nested
        assert agents.ask("stop", "airflow")["stopped"]
        assert agents.status("demo.vllm")["state"] == "running"
        assert all(alive(pid) for pid in inner_pids)

    def test_its_stop_spares_what_a_dead_agent_of_the_other_left(self, agents, nested, alive, eventually):
        outer, (inner_agent, server, child) = nested
        time.sleep(1.2)
        os.kill(inner_agent, signal.SIGKILL)
        os.kill(server, signal.SIGKILL)
        eventually(lambda: parent(child) == outer["agent_pid"])
        time.sleep(1.2)
        assert str(child) not in (agents.folder / "airflow" / "processes.json").read_text()
        assert agents.ask("stop", "airflow")["stopped"]
        assert alive(child)
        assert agents.status("demo.vllm")["orphans"] == [child]

    def test_its_dead_agent_is_swept_without_the_other(self, agents, nested, alive):
        outer, inner_pids = nested
        os.kill(outer["agent_pid"], signal.SIGKILL)
        assert agents.ask("stop", "airflow")["stopped"]
        assert not alive(outer["session"])
        assert all(alive(pid) for pid in inner_pids)


class TestADeadAgent:
    def test_is_told_with_what_it_left_and_can_be_stopped(self, agents, tmp_path, eventually, alive):
        status, pids = family(agents, tmp_path / "family", eventually)
        os.kill(status["agent_pid"], signal.SIGKILL)
        eventually(lambda: not agents.status("demo.vllm")["alive"])
        dead = agents.status("demo.vllm")
        assert (dead["state"], dead["exit"]["reason"]) == ("failed", "agent gone")
        assert dead["orphans"] == sorted(pids)
        assert all(alive(pid) for pid in pids)
        assert "alive" in str(agents.refusal("forget", agents.named("demo.vllm")))

        answer = agents.ask("stop", "demo.vllm")
        assert (answer["stopped"], answer["acted"], answer["left"]) == (True, True, [])
        assert not any(alive(pid) for pid in pids)
        assert agents.status("demo.vllm")["state"] == "stopped"

    def test_is_swept_by_the_next_start_also_without_its_server(self, agents, tmp_path, eventually, alive):
        status, pids = family(agents, tmp_path / "family", eventually)
        os.kill(status["agent_pid"], signal.SIGKILL)
        os.kill(status["session"], signal.SIGKILL)
        eventually(lambda: not alive(status["agent_pid"]) and not alive(status["session"]))
        fresh = agents.start(["sleep", "300"], role="demo.vllm", server=True, digest="d2")
        assert fresh["started"]
        assert not any(alive(pid) for pid in pids)

    def test_with_nothing_left_is_a_failure_that_a_start_mends(self, agents, eventually):
        status = agents.start(["sleep", "300"], role="demo.vllm", server=True)
        os.kill(status["agent_pid"], signal.SIGKILL)
        os.kill(status["session"], signal.SIGKILL)
        eventually(lambda: not (seen := agents.status("demo.vllm"))["alive"] and not seen["orphans"])
        assert agents.status("demo.vllm")["exit"]["reason"] == "agent gone"
        assert agents.start(["sleep", "300"], role="demo.vllm", server=True)["started"]


class TestLog:
    def test_is_read_in_parts_that_join(self, agents):
        agents.start(sh("printf 'aüb\\377c'"))
        agents.ended()
        whole = (agents.folder / "demo.job" / "log").read_bytes()
        text, offset = "", 0
        while offset < len(whole):
            part = agents.ask("log", offset=offset, limit=2)
            assert part["offset"] > offset
            text, offset = text + part["text"], part["offset"]
        assert text == whole.decode(errors="replace")
        assert text.startswith("aüb\N{REPLACEMENT CHARACTER}c")
        assert agents.ask("log", offset=-5)["text"] == text[-5:]
        assert agents.ask("log", offset=len(whole))["text"] == ""
        assert agents.ask("log", offset=len(whole) + 1)["text"] == text

    def test_of_a_role_that_never_was_is_empty(self, agents):
        assert agents.ask("log", "nothing", offset=0) == {"text": "", "offset": 0, "size": 0}


class TestWaitListForget:
    def test_wait_is_bounded(self, agents):
        agents.start(["sleep", "300"])
        began = time.monotonic()
        assert agents.ask("wait", seconds=0.3)["state"] == "running"
        assert 0.3 <= time.monotonic() - began < 3
        assert agents.ask("wait", "nothing", seconds=30)["state"] == "absent"

    def test_list_has_every_role(self, agents):
        agents.start(["sleep", "300"], role="b")
        agents.start(sh("true"), role="a")
        agents.ended("a")
        (agents.folder / "not a role").mkdir()
        listed = agents.call("list", {"folder": str(agents.folder)})["roles"]
        assert [(role["role"], role["state"]) for role in listed] == [("a", "done"), ("b", "running")]

    def test_forget_spares_what_is_alive(self, agents):
        agents.start(["sleep", "300"])
        assert "alive" in str(agents.refusal("forget", agents.named()))
        agents.ask("stop")
        assert agents.ask("forget") == {"forgotten": True}
        assert agents.status()["state"] == "absent"
        assert agents.ask("forget") == {"forgotten": False}


@pytest.mark.parametrize("name", ["", "..", "../x", "A", "a/b", "a" * 102, "-a", "a\n", None, 5])
def test_names_that_could_leave_the_folder_are_refused(agents, tmp_path, name):
    for verb in ("start", "status", "stop", "log", "forget"):
        refused = agents.refusal(verb, {**agents.request(["true"]), "role": name})
        assert str(refused).startswith("role: ")
    assert not agents.folder.exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"folder": "relative"}, "folder"),
        ({"folder": "/tmp/../etc"}, "folder"),
        ({"digest": ""}, "digest"),
        ({"digest": None}, "digest"),
        ({"steps": []}, "steps"),
        ({"steps": "ls"}, "steps"),
        ({"steps": ["ls"]}, "steps"),
        ({"steps": [{"argv": "ls -l"}]}, "steps[0].argv"),
        ({"steps": [{"argv": []}]}, "steps[0].argv"),
        ({"steps": [{"argv": ["ls", 1]}]}, "steps[0].argv[1]"),
        ({"steps": [{"argv": ["a\0b"]}]}, "steps[0].argv[0]"),
        ({"steps": [{"argv": ["\ud800"]}]}, "steps[0].argv[0]"),
        ({"steps": [{"argv": ["ls"], "env": {"A=B": "c"}}]}, "steps[0].env"),
        ({"steps": [{"argv": ["ls"], "env": {"A": 1}}]}, "steps[0].env.A"),
        ({"labels": []}, "labels"),
        ({"server": "yes"}, "server"),
        ({"ready": {"url": "file:///etc/passwd"}}, "ready.url"),
        ({"ready": {"url": "http://h:99999/"}}, "ready.url"),
        ({"ready": {"url": "http://h/a b"}}, "ready.url"),
        ({"restart": {"times": 3}}, "restart"),
        ({"stop": {"term_s": -1}}, "stop.term_s"),
        ({"stop": {"term_s": True}}, "stop.term_s"),
        ({"stop": {"group_s": float("nan")}}, "stop.group_s"),
        ({"ports": [0]}, "ports[0]"),
        ({"ports": [True]}, "ports[0]"),
    ],
)
def test_a_wrong_field_is_named_before_anything_is_done(agents, changed, field):
    refused = agents.refusal("start", {**agents.request(["true"]), **changed})
    assert str(refused).startswith(f"{field}: ")
    assert not agents.folder.exists()


def test_run_is_not_for_everyone(agents):
    agents.start(sh("true"))
    agents.ended()
    refused = agents.kit.refusal("agent", "run", {**agents.request(["true"]), "lock": 9})
    assert refused["error"] == "the lock of the role demo.job is not held"
