"""The load generator: a Locust file with its own streaming transport, which runs as a process of its own.

``plan``, ``prompts`` and ``prepare`` may be imported anywhere. ``transport``, ``share`` and ``conduct`` need gevent,
and ``locustfile`` needs Locust, whose import patches the standard library: they belong in processes of their own.
"""
