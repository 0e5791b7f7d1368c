"""A collective across all ranks of a deployment, one call a host; run by the serving environment's Python.

    python collective.py  < {"backend": "gloo", "store": ["10.0.0.1", 20009], "first": 0, "ranks": 2, "world": 4,
                             "large_bytes": 4194304, "seconds": 50}

It forks a process a rank, which joins the others as vLLM's workers do, by torch.distributed and with the variables of
this call's own environment. Standard output is one JSON object: ``{"ranks": [{"rank", "phase", "small_s", "large_s",
"via", "error", "after_s", "hung", "missing"}]}``. Times are seconds for one all-reduce of 8 bytes and of
``large_bytes``; ``via`` is what NCCL's own log of this run says it went over; ``error`` is empty where all went well,
and ``hung`` says that the rank was ended while it waited. Rank 0 holds the store, on the first host's own address, and
keeps ``missing``: by phase, the ranks that have not come so far. Nothing lives longer than ``seconds``.

Phases: start (imports, GPU), arrive (at the store), meet (wait for all), join (first collective), measure, done.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import re
import selectors
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

CHECKED_IN = ("meet", "join", "done")
GRACE_S = 2.0
"""After one rank failed, the others have this long to say what they met themselves."""
LATE_S = 30.0
"""Waits for other ranks end after the deadline: it is the launcher that ends them, as hung."""
SMALL_BYTES = 8
PR_SET_PDEATHSIG = 1

Tell = Callable[..., None]


class Rank:
    """A rank of this host, as its launcher sees it."""

    def __init__(self, request: dict[str, Any], local: int) -> None:
        self.said: dict[str, Any] = {"rank": request["first"] + local, "phase": "start", "error": "", "hung": False}
        self._log, self._output = os.memfd_create("nccl"), os.memfd_create("output")
        self.pipe, writing = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            _become(request, local, writing, self._log, self._output)
        os.close(writing)
        self._rest = b""

    def hear(self) -> bool:
        """Take what the process said; false when it has ended."""
        data = os.read(self.pipe, 1 << 16)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self.said.update(json.loads(line))
        return bool(data)

    def end(self) -> None:
        """Kill it where it lives, and note how it ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        _, status = os.waitpid(self._pid, 0)
        log = _text(self._log)
        self.said["via"] = via(log)
        if self.said["phase"] != "done" and not self.said["error"] and not self.said["hung"]:
            self.said["error"] = f"its process ended with exit code {os.waitstatus_to_exitcode(status)}"
        if self.said["phase"] != "done":
            warned = [line for line in log.splitlines() if "NCCL WARN" in line]
            told = [line for line in _text(self._output).splitlines() if not line.startswith(("frame #", "<omitting"))]
            self.said["output"] = "\n".join([*told[-4:], *warned[-4:]])


def launch(request: dict[str, Any]) -> list[dict[str, Any]]:
    """Run this host's ranks to their end, or to the deadline; none is left."""
    deadline = time.monotonic() + request["seconds"]
    ranks = [Rank(request, local) for local in range(request["ranks"])]
    living = selectors.DefaultSelector()
    for rank in ranks:
        living.register(rank.pipe, selectors.EVENT_READ, rank)
    while living.get_map() and (left := deadline - time.monotonic()) > 0:
        for key, _ in living.select(left):
            if not key.data.hear():
                living.unregister(key.fd)
    for key in living.get_map().values():
        key.data.said["hung"] = key.data.said["phase"] != "done"
    for rank in ranks:
        rank.end()
    return [rank.said for rank in ranks]


def via(log: str) -> list[str]:
    """What NCCL's log says the ranks' channels go over: NET/IB/0/GDRDMA, P2P/CUMEM, SHM/direct/direct."""
    return sorted(set(re.findall(r"NCCL INFO \S+ .*\bvia ([A-Z]\w*/[^\s,]+)", log)))


def _text(fd: int) -> str:
    return os.pread(fd, 1 << 24, 0).decode(errors="replace")


def _become(request: dict[str, Any], local: int, writing: int, log: int, output: int) -> None:
    """In the forked process: be one rank. It ends with its launcher, and by itself after its time."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.alarm(int(request["seconds"]) + 5)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ["NCCL_DEBUG"], os.environ["NCCL_DEBUG_FILE"] = "INFO", f"/proc/self/fd/{log}"
    os.environ.pop("NCCL_DEBUG_SUBSYS", None)
    began = time.monotonic()

    def tell(**said: Any) -> None:
        os.write(writing, json.dumps(said).encode() + b"\n")

    part = Part(request, local, tell, began + request["seconds"])
    try:
        part.take()
    except Exception as error:  # whatever it is, it is this rank's answer
        tell(error=f"{type(error).__name__}: {error}"[:2000], after_s=time.monotonic() - began)
        part.call_off()
        os._exit(1)
    os._exit(0)


class Part:
    """One rank's part in the collective."""

    def __init__(self, request: dict[str, Any], local: int, tell: Tell, deadline: float) -> None:
        self._request, self._local, self._tell, self._deadline = request, local, tell, deadline
        self._rank, self._world = request["first"] + local, request["world"]
        self._store: Any = None

    def take(self) -> None:
        """From the imports to the measured times. Whatever it raises is this rank's failure."""
        self._torch, self._group = map(importlib.import_module, ("torch", "torch.distributed"))
        device = self._device()
        self._arrive()
        self._join(device)
        small_s, large_s = self._measured(device, SMALL_BYTES), self._measured(device, self._request["large_bytes"])
        self._store.set(f"done/{self._rank}", "")
        self._tell(phase="done", small_s=small_s, large_s=large_s)
        with contextlib.suppress(RuntimeError):  # the holder of the store may be gone first, all being done
            self._await("done")

    def call_off(self) -> None:
        """Tell the others that it cannot come to its end."""
        with contextlib.suppress(Exception):
            if self._store is None:
                self._store = self._client(5)
            self._store.set("off", str(self._rank))
            time.sleep(GRACE_S)

    def _device(self) -> Any:
        if self._request["backend"] != "nccl":
            return self._torch.device("cpu")
        if (there := self._torch.cuda.device_count()) <= self._local:
            raise RuntimeError(f"GPU {self._local} is wanted, the process sees {there}")
        self._torch.cuda.set_device(self._local)
        return self._torch.device("cuda", self._local)

    def _arrive(self) -> None:
        self._tell(phase="arrive")
        self._store = self._held() if self._rank == 0 else self._client(self._left() - 3)
        watching = self._client(self._left())
        threading.Thread(target=self._watch, args=(watching,), daemon=True).start()
        self._tell(phase="meet")
        self._store.set(f"meet/{self._rank}", "")
        self._await("meet")

    def _held(self) -> Any:
        """The store, on the first host's own address only."""
        address, port = self._request["store"]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = socket.create_server((address, port), family=family)
        left = timedelta(seconds=self._left())
        return self._group.TCPStore(
            address, port, None, True, left, wait_for_workers=False, master_listen_fd=listener.detach()
        )

    def _client(self, seconds: float) -> Any:
        address, port = self._request["store"]
        return self._group.TCPStore(
            address, port, None, False, timedelta(seconds=max(1, seconds)), wait_for_workers=False
        )

    def _await(self, phase: str) -> None:
        self._store.wait([f"{phase}/{rank}" for rank in range(self._world)], timedelta(seconds=self._left() + LATE_S))

    def _watch(self, store: Any) -> None:
        """End when another rank has called it off, or with the store; the holder keeps account of who is missing."""
        missing = {phase: list(range(self._world)) for phase in CHECKED_IN}
        with contextlib.suppress(RuntimeError):
            while not store.check(["off"]):
                still = {p: [r for r in ranks if not store.check([f"{p}/{r}"])] for p, ranks in missing.items()}
                if self._rank == 0 and still != missing:
                    self._tell(missing=still)
                missing = still if self._rank == 0 else {}
                time.sleep(0.3)
        time.sleep(2 * GRACE_S)
        self._tell(hung=True)
        os._exit(1)

    def _join(self, device: Any) -> None:
        """The first collective makes all connections; its sum must be right."""
        self._tell(phase="join")
        self._group.init_process_group(
            self._request["backend"],
            store=self._group.PrefixStore("group", self._store),
            rank=self._rank,
            world_size=self._world,
            timeout=timedelta(seconds=self._left() + LATE_S),
        )
        total = self._torch.full((2,), float(self._rank + 1), device=device)
        self._group.all_reduce(total)
        if total.tolist() != [self._world * (self._world + 1) / 2] * 2:
            raise RuntimeError(f"the all-reduce over {self._world} ranks is wrong: {total.tolist()}")
        self._store.set(f"join/{self._rank}", "")
        self._tell(phase="measure")

    def _measured(self, device: Any, size: int) -> float:
        """Seconds for one all-reduce of ``size`` bytes: the mean of as many as fit into about two seconds."""
        data = self._torch.zeros(size // 4, device=device)
        self._timed(data, 2)
        slowest = self._torch.tensor([self._timed(data, 2)], device=device)
        self._group.all_reduce(slowest, op=self._group.ReduceOp.MAX)
        return self._timed(data, max(3, min(100, int(2 / max(slowest.item(), 1e-6)))))

    def _timed(self, data: Any, times: int) -> float:
        wait: Callable[[], Any] = self._torch.cuda.synchronize if data.is_cuda else (lambda: None)
        self._group.barrier()
        wait()
        began = time.perf_counter()
        for _ in range(times):
            self._group.all_reduce(data)
        wait()
        return (time.perf_counter() - began) / times

    def _left(self) -> float:
        return max(0.1, self._deadline - time.monotonic())


def main() -> None:
    """The answer is written whole; a launcher that hangs itself is ended by the alarm."""
    request = json.load(sys.stdin)
    signal.alarm(int(request["seconds"]) + 5)
    ranks = launch(request)
    sys.stdout.write(json.dumps({"ranks": ranks}) + "\n")


if __name__ == "__main__":
    main()
