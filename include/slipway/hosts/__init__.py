"""Where commands run: this machine, or a host over SSH."""

from slipway.hosts.base import Host, checked, on_each, on_each_fit
from slipway.hosts.local import LocalHost
from slipway.hosts.ssh import SSHHost

__all__ = ["Host", "LocalHost", "SSHHost", "checked", "on_each", "on_each_fit"]
