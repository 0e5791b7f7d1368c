"""Programs that run on a host with its bare Python (3.9 or newer): the standard library alone.

Each call reads one JSON object from standard input and answers one JSON object on standard output. Exit code 3 says
that it was refused, and then the object is ``{"error", "hint"}``.
"""
