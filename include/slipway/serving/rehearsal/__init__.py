"""vLLM's door to the rehearsal platform: a plugin of the group ``vllm.platform_plugins``.

It is active where vLLM itself would choose its CPU platform, and leaves every other build of vLLM alone.
"""

from __future__ import annotations

from vllm.platforms import cpu_platform_plugin


def register() -> str | None:
    """The platform's class, by its name; None where vLLM was not built for CPU."""
    return f"{__name__}.platform.RehearsalPlatform" if cpu_platform_plugin() else None
