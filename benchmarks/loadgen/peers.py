"""The other load generators, each from a virtual environment of its own: how it is asked, and what it said.

Each is asked for ``count`` chat requests (inference-perf, whose random prompts know no chat, for completions) by
``users`` at a time, with answers of the server's length. What it calls TTFT and ITL is taken as it says it;
``docs/metrics.md`` tells how the definitions differ.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

PROMPT_TOKENS, TOKENS = 32, 64
VLLM = """
import argparse, json, pathlib
from tokenizers import Tokenizer, models, pre_tokenizers
from vllm.benchmarks.serve import add_cli_args, main

words = {f"w{number}": number for number in range(1000)} | {"<unk>": 1000}
tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer.save("tokenizer.json")
config = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "<unk>"}
pathlib.Path("tokenizer_config.json").write_text(json.dumps(config))
parser = argparse.ArgumentParser()
add_cli_args(parser)
main(parser.parse_args())
"""
"""``vllm bench serve`` with a tokenizer of its own, and without the command line around it that the CPU build lacks."""

Said = tuple[float, float, float]
"""TTFT p50 and p95, ITL p50, in seconds."""


@dataclass(frozen=True)
class Asked:
    """What a peer must do. ``bin`` holds its programs; ``folder`` is empty, and its own."""

    bin: Path
    url: str
    folder: Path
    users: int
    count: int
    tokenizer: str


@dataclass(frozen=True)
class Peer:
    """``argv`` is its command line, run in its folder; ``said`` reads the result there."""

    argv: Callable[[Asked], list[str]]
    said: Callable[[Path], Said]
    env: Mapping[str, str]


def _vllm(asked: Asked) -> list[str]:
    return [
        *(str(asked.bin / "python"), "-c", VLLM, "--backend", "openai-chat"),
        *("--base-url", asked.url, "--endpoint", "/v1/chat/completions", "--model", "truth"),
        *("--tokenizer", str(asked.folder), "--dataset-name", "random", "--random-input-len", str(PROMPT_TOKENS)),
        *("--random-output-len", str(TOKENS), "--ignore-eos"),
        *("--num-prompts", str(asked.count), "--max-concurrency", str(asked.users), "--disable-tqdm"),
        *("--percentile-metrics", "ttft,itl", "--metric-percentiles", "50,95"),
        *("--save-result", "--result-dir", str(asked.folder), "--result-filename", "said.json"),
    ]


def _vllm_said(folder: Path) -> Said:
    said = json.loads((folder / "said.json").read_text())
    return said["p50_ttft_ms"] / 1000, said["p95_ttft_ms"] / 1000, said["p50_itl_ms"] / 1000


def _guidellm(asked: Asked) -> list[str]:
    return [
        *(str(asked.bin / "guidellm"), "run", "--disable-console"),
        *("--backend", f"kind=openai_http,target={asked.url},model=truth"),
        *("--profile", f"kind=concurrent,streams={asked.users}"),
        *("--constraint", f"kind=max_requests,count={asked.count}"),
        *("--tokenizer", f"kind=huggingface_auto,model={asked.tokenizer}"),
        *("--data", f"kind=synthetic_text,prompt_tokens={PROMPT_TOKENS},output_tokens={TOKENS}"),
        *("--output", f"kind=json,path={asked.folder / 'said.json'}"),
    ]


def _guidellm_said(folder: Path) -> Said:
    metrics = json.loads((folder / "said.json").read_text())["benchmarks"][0]["metrics"]
    ttft, itl = (
        metrics[name]["successful"]["percentiles"] for name in ("time_to_first_token_ms", "inter_token_latency_ms")
    )
    return ttft["p50"] / 1000, ttft["p95"] / 1000, itl["p50"] / 1000


def _aiperf(asked: Asked) -> list[str]:
    return [
        *(str(asked.bin / "aiperf"), "profile", "--model", "truth", "--url", asked.url),
        *("--endpoint-type", "chat", "--streaming", "--ui", "simple"),
        *("--concurrency", str(asked.users), "--request-count", str(asked.count)),
        *("--tokenizer", asked.tokenizer, "--synthetic-input-tokens-mean", str(PROMPT_TOKENS)),
        *("--output-tokens-mean", str(TOKENS), "--output-artifact-dir", str(asked.folder / "said")),
    ]


def _aiperf_said(folder: Path) -> Said:
    [path] = (folder / "said").rglob("profile_export_aiperf.json")
    said = json.loads(path.read_text())
    ttft, itl = said["time_to_first_token"], said["inter_token_latency"]
    return ttft["p50"] / 1000, ttft["p95"] / 1000, itl["p50"] / 1000


def _inference_perf(asked: Asked) -> list[str]:
    lengths = {"std_dev": 0.0, "total_count": asked.count}
    config = {
        "api": {"type": "completion", "streaming": True},
        "data": {
            "type": "random",
            "input_distribution": {"min": PROMPT_TOKENS, "max": PROMPT_TOKENS, "mean": PROMPT_TOKENS, **lengths},
            "output_distribution": {"min": TOKENS, "max": TOKENS, "mean": TOKENS, **lengths},
        },
        "load": {
            "type": "concurrent",
            "stages": [{"concurrency_level": asked.users, "num_requests": asked.count}],
            "num_workers": 2,
            "worker_max_concurrency": asked.users,
        },
        "server": {"type": "vllm", "model_name": "truth", "base_url": asked.url, "ignore_eos": True},
        "tokenizer": {"pretrained_model_name_or_path": asked.tokenizer},
        "report": {"request_lifecycle": {"summary": True, "per_stage": False, "per_request": False}},
        "storage": {"local_storage": {"path": str(asked.folder / "said")}},
    }
    path = asked.folder / "config.yml"
    path.write_text(json.dumps(config))
    return [str(asked.bin / "inference-perf"), "--config_file", str(path)]


def _inference_perf_said(folder: Path) -> Said:
    [path] = (folder / "said").rglob("*summary_lifecycle_metrics.json")
    latency = json.loads(path.read_text())["successes"]["latency"]
    ttft, itl = latency["time_to_first_token"], latency["inter_token_latency"]
    return ttft["median"], ttft["p95"], itl["median"]


OFFLINE: Mapping[str, str] = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
PEERS = {
    "vllm bench serve": Peer(_vllm, _vllm_said, {"VLLM_NO_USAGE_STATS": "1"}),
    "guidellm": Peer(_guidellm, _guidellm_said, OFFLINE),
    "aiperf": Peer(_aiperf, _aiperf_said, {}),
    "inference-perf": Peer(_inference_perf, _inference_perf_said, OFFLINE),
}
