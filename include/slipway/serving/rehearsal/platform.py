"""vLLM on CPU, where Ray may place workers.

vLLM refuses Ray on CPU only because its CPU platform names no resource of Ray's. Here it names ``GPU``, and Ray is told
at its start how many of them to claim (``ray start --num-gpus``). Nothing else differs from vLLM's own CPU platform.
"""

from __future__ import annotations

from vllm.platforms.cpu import CpuPlatform


class RehearsalPlatform(CpuPlatform):  # type: ignore[misc]
    ray_device_key = "GPU"
