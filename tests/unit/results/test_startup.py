"""Phases of a start: from logs of vLLM over Ray as they were written, on CPU and on a GPU, and from single lines."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from slipway.results.startup import PHASES, CompileCache, StartLog, as_data, told

DATA = Path(__file__).parents[2] / "data" / "vllm-0.32.0"
BEGAN = datetime(2026, 11, 24, 16, 45, 16, 216000, tzinfo=UTC).timestamp()

GPU = """\
(APIServer pid=7) INFO 11-24 16:45:21 [api_utils.py:286] non-default args: {'model': '/m'}
(EngineCore pid=9) INFO 11-24 16:45:30 [core.py:133] Initializing a V1 LLM engine (v0.33.0) with config: model='/m'
(EngineCore pid=9) INFO 11-24 16:45:31 [ray_utils.py:607] No current placement group. Creating a new placement group.
Loading safetensors checkpoint shards:   0% Completed | 0/4 [00:00<?, ?it/s]
Loading safetensors checkpoint shards:  50% Completed | 2/4 [00:20<00:20, 10.00s/it]
(Worker pid=11) INFO 11-24 16:45:41 [p.py:1] world_size=2 rank=0 local_rank=0 distributed_init_method=tcp://h:1
(Worker pid=11) INFO 11-24 16:45:45 [gpu_model_runner.py:5040] Starting to load model /m...
(Worker pid=11) INFO 11-24 16:46:25 [default_loader.py:501] Loading weights took 39.80 seconds
(Worker pid=11) INFO 11-24 16:46:26 [gpu_model_runner.py:5150] Model loading took 14.99 GiB memory and 40.400000 seconds
(Worker pid=11) INFO 11-24 16:46:40 [backends.py:398] Compiling a graph for compile range (1, 8192) takes 12.10 s
(EngineCore pid=9) INFO 11-24 16:47:00 [kv_cache_utils.py:2327] GPU KV cache size: 400,000 tokens
Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):  40%|████      | 20/51 [00:04<00:06,  4.90it/s]
(Worker pid=11) INFO 11-24 16:47:12 [gpu_model_runner.py:6582] Graph capturing finished in 11 secs, took 0.84 GiB
(EngineCore pid=9) INFO 11-24 16:47:13 [core.py:395] init engine (profile, create kv cache, warmup model) took 46.70 s
(APIServer pid=7) INFO 11-24 16:47:15 [entry.py:140] Starting vLLM server on http://10.0.0.1:8000
INFO:     Application startup complete.
"""
"""Written after the calls of the logger of vLLM 0.32 and 0.33 on a GPU. Bars come out of their order."""


def read(text: str, began_at: float = BEGAN, utc_offset_s: float = 0.0) -> StartLog:
    log = StartLog(began_at, utc_offset_s)
    for line in text.splitlines():
        log.read(line)
    return log


def seconds(log: StartLog, ended_at: float) -> dict[str, float]:
    return {phase.name: phase.seconds for phase in log.phases(ended_at)}


class TestCaptured:
    def test_a_start_over_ray(self):
        log = read((DATA / "start_ray_tp1_eager.log").read_text())
        found = seconds(log, BEGAN + 26.24)
        assert found == {
            "process": 13.784,  # until Ray is asked
            "ray": pytest.approx(7.0, abs=0.01),  # the worker imports torch and vLLM
            "collectives": 0.0,
            "weights": 1.0,
            "compile": 2.0,
            "completion": pytest.approx(2.456, abs=0.01),
        }
        assert log.complete

    def test_the_parts_are_the_whole(self):
        log = read((DATA / "start_ray_tp1_eager.log").read_text())
        phases = log.phases(BEGAN + 26.24)
        assert sum(phase.seconds for phase in phases) == pytest.approx(26.24, abs=0.01)
        assert phases[-1].began_s + phases[-1].seconds == pytest.approx(26.24, abs=0.01)

    def test_a_start_that_compiles_over_two_workers(self):
        began = datetime(2026, 11, 24, 16, 48, 25, 593000, tzinfo=UTC).timestamp()
        log = read((DATA / "start_ray_tp2_compile.log").read_text(), began)
        assert {name: round(each) for name, each in seconds(log, began + 60.12).items()} == {
            "process": 16,
            "ray": 12,
            "collectives": 0,
            "weights": 0,
            "compile": 28,
            "completion": 4,
        }

    def test_a_start_that_waits_for_its_placement(self):
        log = read((DATA / "start_ray_placement_waits.log").read_text(), BEGAN + 60)
        assert (log.phase, log.placement_wait_s, log.complete) == ("ray", 10, False)

    def test_a_start_on_an_h100(self):
        """vLLM 0.25.1 with its second model runner, 13.8 GiB of weights, torch.compile, two rounds of graphs."""
        began = datetime(2026, 11, 24, 17, 14, 59, tzinfo=UTC).timestamp()
        log = read((DATA.parent / "vllm-0.25.1-cuda" / "start.log").read_text(), began)
        assert {name: round(each) for name, each in seconds(log, began + 129.6).items()} == {
            "process": 41,
            "ray": 15,
            "collectives": 1,
            "weights": 13,
            "compile": 33,
            "graphs": 6,
            "completion": 21,
        }
        assert log.complete


class TestGPU:
    def test_every_phase(self):
        assert seconds(read(GPU), BEGAN + 122.784) == {
            "process": 14.784,
            "ray": 10.0,
            "collectives": 4.0,
            "weights": 40.0,
            "compile": 36.0,
            "graphs": 11.0,
            "completion": pytest.approx(7.0, abs=0.001),
        }

    def test_where_it_is_while_it_runs(self):
        log, said = StartLog(BEGAN), []
        for line in GPU.splitlines():
            log.read(line)
            said += [log.told()] if log.told() not in said[-1:] else []
        assert said == ["process", "ray", "weights 0%", "weights 50%", "compile", "graphs 40%", "completion"]

    def test_what_the_line_at_the_end_of_the_capture_says_of_its_begin(self):
        line = "INFO 11-24 16:47:12 [gpu_model_runner.py:6582] Graph capturing finished in 11 secs, took 0.84 GiB"
        assert read(line).phases(BEGAN + 120)[1].began_s == pytest.approx(104.784)


def test_times_on_the_wall_of_the_host():
    line = "INFO 11-25 00:45:30 [ray_utils.py:607] No current placement group found. Creating a new placement group."
    assert read(line, utc_offset_s=8 * 3600).phases(BEGAN + 20)[0].seconds == pytest.approx(13.784)


def test_over_the_turn_of_the_year():
    began = datetime(2027, 12, 31, 23, 59, 50, tzinfo=UTC).timestamp()
    log = read("INFO 01-01 00:00:20 [x.py:1] Starting to load model /m...", began)
    assert log.phases(began + 40)[0].seconds == 30.0


@pytest.mark.parametrize("stamp", ["02-29 10:00:00", "13-01 10:00:00", "00-00 10:00:00"])
def test_a_day_that_is_none_or_not_in_each_year(stamp):
    began = datetime(2027, 12, 31, 23, 59, 50, tzinfo=UTC).timestamp()
    phases = read(f"INFO {stamp} [x.py:1] Starting to load model /m...", began).phases(began + 1)
    assert phases[0].name == "process"


def test_what_stands_before_the_agents_new_start_is_forgotten():
    again = "[slipway agent] demo.vllm ended unasked (signal 9) and will be started again"
    log = read(f"{GPU}{again}\n", BEGAN + 600)
    assert (log.phase, log.complete) == ("process", False)
    log.read("INFO 11-24 16:55:36 [x.py:1] Starting to load model /m...")
    assert seconds(log, BEGAN + 640) == {"process": pytest.approx(19.784), "weights": pytest.approx(20.216)}


def test_a_log_without_times_has_one_phase():
    log = read("Starting to load model /m...\nLoading weights took 3 seconds")
    assert seconds(log, BEGAN + 9) == {"process": 9.0}


def test_as_they_are_kept_and_told():
    kept = as_data(read(GPU).phases(BEGAN + 122.784))
    assert [phase["name"] for phase in kept] == list(PHASES)
    assert kept[3] == {"name": "weights", "began_s": 28.784, "seconds": 40.0}
    assert told(kept[:2]) == "process 14.8, ray 10.0"


class TestCompileCache:
    def test_a_first_start_on_a_gpu_compiles(self):
        log = read((DATA.parent / "vllm-0.25.1-cuda" / "start.log").read_text())
        assert log.cache == CompileCache(hits=0, misses=2, compile_s=29.32)
        assert log.cache.told == "compile cache: 0 hits, 2 misses, compiling took 29.3 s"

    def test_alike_lines_of_two_ranks_ray_shows_once(self):
        log = read((DATA / "start_ray_tp2_compile.log").read_text())
        assert log.cache == CompileCache(hits=0, misses=1)

    def test_what_is_compiled_already_is_a_hit(self):
        """Written after the calls of vLLM 0.32's logger; the seconds as 0.25.1 and 0.32 say them."""
        log = read(
            "INFO 11-24 16:46:40 [decorators.py:319] [backbone] Directly load AOT compilation from path /c/aot/1\n"
            "INFO 11-24 16:46:41 [backends.py:295] Directly load the compiled graph(s) for compile range (1, 8192)"
            " from the cache, took 0.512 s\n"
            "INFO 11-24 16:46:42 [core.py:395] init engine (profile, create kv cache, warmup model) took 7.1 s"
            " (compilation: 1.50 s)\n"
        )
        assert log.cache == CompileCache(hits=2, misses=0, compile_s=1.5)

    def test_an_eager_start_has_none(self):
        log = read((DATA / "start_ray_tp1_eager.log").read_text())
        assert (log.cache.hits, log.cache.misses) == (0, 0)

    def test_a_server_that_was_started_again_is_counted_anew(self):
        again = "[slipway agent] demo.vllm ended unasked (exit code 1), will be started again"
        log = read(f"x saved AOT compiled function to /c\n{again}\n")
        assert log.cache == CompileCache()
