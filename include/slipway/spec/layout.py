"""Where things live on a host: pure paths, all below the deployment's ``root``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

LONGEST_RAY_TEMP_DIR = 40
"""Ray's sockets lie some 65 characters below its folder, and a socket's path has at most 107 bytes."""


@dataclass(frozen=True)
class Layout:
    """Paths on a host.

    ::

        root/kit/<digest>.pyz          programs of Slipway that run there
        root/environments/<digest>     serving environments (links to the folders beside them)
        root/models/<name>/<digest>    the model store; root/models/<name>/current is the newest
        root/caches                    what vLLM has compiled, keyed by vLLM itself
        root/agents/<role>/            one folder a supervised process: state, lock, log
        root/deployments/<name>/       what one deployment keeps: Ray's token, the router's server
        root/keys/<name>.json          the API key of a server, and of a load generator while it runs
        root/ray/<name>                Ray's folder for sockets and logs
    """

    root: str

    def kit(self, digest: str) -> str:
        return f"{self.root}/kit/{digest}.pyz"

    def environment(self, digest: str) -> str:
        return f"{self.root}/environments/{digest}"

    def models(self, name: str) -> str:
        return f"{self.root}/models/{name}"

    @property
    def caches(self) -> str:
        """vLLM keeps there what torch and Triton have compiled, by version, model, shape and code, for every start."""
        return f"{self.root}/caches"

    @property
    def agents(self) -> str:
        return f"{self.root}/agents"

    def deployment(self, name: str) -> str:
        return f"{self.root}/deployments/{name}"

    def stripe_token(self, deployment: str) -> str:
        return f"{self.deployment(deployment)}/stripe.token"

    def hub_token(self, deployment: str) -> str:
        return f"{self.deployment(deployment)}/hub.token"

    def api_key(self, owner: str) -> str:
        """The API key as a variable in JSON: of the server of a deployment, or of the role of a load generator."""
        return f"{self.root}/keys/{owner}.json"

    def ray_token(self, deployment: str) -> str:
        return f"{self.deployment(deployment)}/ray.token"

    def ray_temp_dir(self, deployment: str) -> str:
        """Below ``root`` where the path is short enough for Ray's sockets, else below /tmp by a digest of it."""
        path = f"{self.root}/ray/{deployment}"
        if len(path) <= LONGEST_RAY_TEMP_DIR:
            return path
        return f"/tmp/slipway-ray-{hashlib.sha256(path.encode()).hexdigest()[:8]}"  # noqa: S108
