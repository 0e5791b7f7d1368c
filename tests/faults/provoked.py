"""The faults, each with what provokes it. A fault is named after the cause that must be found: ``cause--variant``."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from faults.bed import Bed, mounted, ray, under, vllm

from slipway.shell import Command

UNPRIVILEGED = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
"""Root without the right to pass by modes: who else may read this machine's Python is not known."""


@dataclass(frozen=True)
class Fault:
    """``command`` is what fails; ``prepare`` spoils the model before it; ``around`` holds something meanwhile;
    ``strike`` hits what was started."""

    name: str
    program: str
    command: Callable[[Bed], Command]
    prepare: Callable[[Bed], object] = lambda bed: None
    around: Callable[[Bed], contextlib.AbstractContextManager[object]] = lambda bed: contextlib.nullcontext()
    strike: Callable[[Bed], object] = lambda bed: None

    @property
    def cause(self) -> str:
        return self.name.split("--")[0]

    def provoke(self, bed: Bed) -> None:
        """Returns when the program has ended, which it does by itself."""
        self.prepare(bed)
        with self.around(bed):
            bed.start(self.program, self.command(bed))
            self.strike(bed)
            bed.wait_for_end(self.program)


def flags(name: str, *words: str, env: dict[str, str] | None = None, model: str = "") -> Fault:
    return Fault(name, "vllm", lambda bed: vllm(bed, *words, env=env, model=model))


def spoiled(name: str, prepare: Callable[[Path], object], *words: str, env: dict[str, str] | None = None) -> Fault:
    return Fault(name, "vllm", lambda bed: vllm(bed, *words, env=env), prepare=lambda bed: prepare(bed.model))


def config(**changes: object) -> Callable[[Path], object]:
    def change(model: Path) -> None:
        path = model / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


def cut(name: str, keep: float) -> Callable[[Path], object]:
    def change(model: Path) -> None:
        data = (model / name).read_bytes()
        (model / name).write_bytes(data[: int(len(data) * keep)])

    return change


def written(name: str, text: str) -> Callable[[Path], object]:
    return lambda model: (model / name).write_text(text)


def without(*names: str) -> Callable[[Path], object]:
    return lambda model: [(model / name).unlink() for name in names]


@contextlib.contextmanager
def listening(bed: Bed) -> Iterator[None]:
    """Somebody else has the port."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("0.0.0.0", bed.port))
        other.listen()
        yield


@contextlib.contextmanager
def full_disk(bed: Bed) -> Iterator[None]:
    """Ray's folder lies on a disk of its own without a free byte, until the bed is gone."""
    bed.short.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", bed.short], check=True)
    (bed.short / "full").write_bytes(bytes(16384))
    yield


@contextlib.contextmanager
def head(bed: Bed, **env: str) -> Iterator[None]:
    """A Ray head beside, 50 ports further on."""
    bed.start("other", ray(bed, offset=50, env=env))
    bed.wait_for_log("other", "Ray runtime started")
    yield


def joining(bed: Bed, **env: str) -> Command:
    return ray(bed, f"--address=127.0.0.2:{bed.port + 50}", env=env, head=False)


def other_ray(bed: Bed) -> Command:
    """Ray's own command line, that says it is of another release."""
    program = "import sys, ray; ray.__version__ = '2.59.0'; from ray.scripts.scripts import main; sys.exit(main())"
    plain = joining(bed)
    return Command((bed.python, "-c", program, *plain.argv[3:]), env=plain.env)


def killed(name: str, title: str, *words: str, when: str, env: dict[str, str] | None = None) -> Fault:
    def strike(bed: Bed) -> None:
        bed.wait_for_log("vllm", when)
        bed.kill("vllm", title)

    return Fault(name, "vllm", lambda bed: vllm(bed, *words, env=env), strike=strike)


SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
FIRST = SHARDS[0]
LFS = (
    "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b\nsize 12583048\n"
)
TWO = {"VLLM_CPU_OMP_THREADS_BIND": "0|1"}
CODE = {"AutoConfig": "configuration_tiny.TinyConfig", "AutoModelForCausalLM": "modeling_tiny.Tiny"}
READY = "Application startup complete"

FAULTS = [
    flags("arg-unknown", "--swap-space", "32"),
    flags("arg-choice", "--dtype=fp4"),
    flags("arg-value", "--max-num-seqs=many"),
    flags("arg-value--json", "--compilation-config={level"),
    flags("hf-overrides", "--hf-overrides=rope"),
    flags("env-unknown-fatal", "--fail-on-environ-validation", env={"VLLM_USE_V1": "1"}),
    flags("maxlen-derived", "--max-model-len=9999999"),
    flags("batched-tokens", "--max-num-batched-tokens=16", "--no-enable-chunked-prefill"),
    flags("tp-heads", "--tensor-parallel-size=3", env={"VLLM_CPU_OMP_THREADS_BIND": "0|1|0"}),
    flags("ep-dense", "--enable-expert-parallel"),
    flags("quant-noconfig", "--quantization=awq"),
    flags("toolparser", "--enable-auto-tool-choice", "--tool-call-parser=nope"),
    flags("reasonparser", "--reasoning-parser=nope"),
    flags("chattemplate", "--chat-template=/srv/templates/chat.jinja"),
    flags("ssl-file", "--ssl-keyfile=/srv/tls/key.pem", "--ssl-certfile=/srv/tls/cert.pem"),
    flags("path-missing", model="/srv/models/none"),
    flags("hf-offline", model="acme/none"),
    flags("gloo-if", env={"GLOO_SOCKET_IFNAME": "ib7"}),
    flags("host-alloc", env={"VLLM_CPU_KVCACHE_SPACE": "90000"}),
    flags("cpu-numa", "--tensor-parallel-size=2"),
    flags("lora-missing", "--enable-lora", "--lora-modules", "legal=/srv/loras/legal"),
    flags("address-not-here", "--host=10.99.99.99"),
    spoiled("quant-unknown", config(quantization_config={"quant_method": "nope"})),
    spoiled("arch", config(architectures=["NoSuchForCausalLM"])),
    spoiled("modeltype", config(model_type="nosuch")),
    spoiled("trust", config(model_type="tiny_custom", auto_map=CODE)),
    spoiled("config-missing", without("config.json")),
    spoiled("config-json", cut("config.json", 0.5)),
    spoiled("tok-corrupt", written("tokenizer.json", '{"version": "1.0"}')),
    spoiled("st-header--truncated", cut(FIRST, 0.6)),
    spoiled("st-notst--lfs-pointer", written(FIRST, LFS)),
    spoiled("st-notst--html", written(FIRST, "<!DOCTYPE html><html><body>Sign in</body></html>\n" * 40)),
    spoiled("st-notst--empty", written(FIRST, "")),
    spoiled("shard-missing", without(FIRST)),
    spoiled("weights-missing", without(SHARDS[1], "model.safetensors.index.json")),
    spoiled("weights-none", without(*SHARDS, "model.safetensors.index.json")),
    spoiled("weights-shape", config(intermediate_size=320)),
    spoiled("kv-small", config(max_position_embeddings=9_000_000), "--max-model-len=8000000"),
    Fault("port-busy", "vllm", vllm, around=listening),
    Fault(
        "perm", "vllm", lambda bed: under(vllm(bed), *UNPRIVILEGED), prepare=lambda bed: (bed.model / FIRST).chmod(0)
    ),
    Fault("nofile", "vllm", lambda bed: under(vllm(bed), "prlimit", "--nofile=48")),
    Fault(
        "disk-full",
        "vllm",
        lambda bed: mounted(
            vllm(bed, "--no-enforce-eager", env={"VLLM_CACHE_ROOT": str(bed.short)}), str(bed.short), "64k"
        ),
    ),
    Fault(
        "shm",
        "vllm",
        lambda bed: mounted(vllm(bed, "--tensor-parallel-size=2", env=TWO), "/dev/shm", "4m"),
    ),
    Fault("pkg-meta", "vllm", lambda bed: Command((bed.python, "-m", "vllm.entrypoints.cli.main", "serve"))),
    Fault("env-broken", "vllm", lambda bed: Command(("/usr/bin/env", "python3", *vllm(bed).argv[1:]))),
    killed("proc-sigkill--loading", "EngineCore", when="Starting to load model"),
    killed("proc-sigkill--serving", "EngineCore", when=READY),
    killed("proc-sigkill--worker", "Worker", "--tensor-parallel-size=2", when=READY, env=TWO),
    Fault("ray-port", "ray-head", ray, around=listening),
    Fault("ray-session", "ray-head", lambda bed: ray(bed, f"--port={bed.port + 50}"), around=head),
    Fault("ray-portclash", "ray-head", lambda bed: ray(bed, f"--min-worker-port={bed.port}")),
    Fault("unix-path", "ray-head", lambda bed: ray(bed, f"--temp-dir=/tmp/{'long/' * 20}{bed.port}")),
    Fault(
        "ray-auth", "ray-head", joining, around=lambda bed: head(bed, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="a" * 64)
    ),
    Fault("ray-auth--none", "ray-head", lambda bed: ray(bed, env={"RAY_AUTH_MODE": "token", "HOME": "/srv/nobody"})),
    Fault("ray-version", "ray-head", other_ray, around=head),
    Fault("disk-full--ray", "ray-head", ray, around=full_disk),
    Fault("perm--ray", "ray-head", lambda bed: under(ray(bed, f"--temp-dir={bed.closed}/ray"), *UNPRIVILEGED)),
    # Ray by itself tries twenty times, which is 14 minutes; what it says of each is the same
    Fault("ray-no-gcs", "ray-head", lambda bed: joining(bed, RAY_NUM_REDIS_GET_RETRIES="1")),
]
BY_NAME = {fault.name: fault for fault in FAULTS}

HEALTHY = [
    Fault("one-process", "vllm", vllm),
    Fault("tensor-parallel", "vllm", lambda bed: vllm(bed, "--tensor-parallel-size=2", env=TWO)),
    Fault("head", "ray-head", ray),
]
"""Nothing is wrong with these: they start and are stopped."""

STARTED = {"vllm": READY, "ray-head": "Ray runtime started"}
