from two_hosts.conftest import bed, deployment, lines, opened, spec  # noqa: F401
