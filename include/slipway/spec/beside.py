"""The parts of the deployment file that name machines: hosts, and what lets a new server start beside the old one."""

from __future__ import annotations

from pydantic import Field

from slipway.spec.part import EnvName, Name, Part, Port, Seconds


class HostSpec(Part):
    """One machine of the deployment. The first of the list is the head: Ray's head and vLLM's API server run there."""

    name: Name
    """What this host is called in logs, plans and results."""
    connection: str = "local"
    """`local` for the machine that Airflow's task runs on, or the id of an Airflow `ssh` connection."""
    address: str
    """The host's own address on the cluster network: Ray's node address and VLLM_HOST_IP. For a single machine apart
    from any network, 127.0.0.2: Ray takes 127.0.0.1 for the machine's first other address."""
    gpus: int = Field(default=1, ge=0, le=64)
    """How many GPUs Ray must find on this host; in rehearsal, how many it is told to claim."""
    env: dict[EnvName, str] = Field(default_factory=dict)
    """Variables for every process on this host alone, over those of `env` for all."""


class RouterSpec(Part):
    """vllm-router, which clients ask: a role of Slipway's agent, found, kept and stopped like the server.

    Whoever reaches its port may also add servers behind it and remove them.
    """

    connection: str = "local"
    """As for a host: the machine that the router runs on, which may be one of the hosts."""
    address: str
    """The address there that it listens on; clients ask `http://ADDRESS:PORT`."""
    port: Port = 8090
    """Its port. The one behind it, at 127.0.0.1 alone, has the router's own metrics."""
    python: str
    """The interpreter there of an environment with vllm-router, as `include/environments/router.txt` pins it: adopted,
    never changed."""

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}"


class BesideSpec(Part):
    """Where a new server is started while the old one serves, and what moves clients from one to the other.

    Whichever hosts do not serve are the spare ones: after each redeploy the two sides have changed places.
    """

    hosts: tuple[HostSpec, ...] = Field(min_length=1, max_length=1024)
    """As many machines as `hosts`, with the same GPUs; the first is the head of that side."""
    router: RouterSpec
    """What clients ask."""
    drain_s: Seconds = 600
    """How long the old server may work on the requests that it has once no new ones come. It is stopped as soon as it
    has none."""
