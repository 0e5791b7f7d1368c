"""What the bytes of a source must be, where that was written down before: beside the source, or when it was staged."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from slipway.remote.refusal import Refused
from slipway.remote.weights.checkpoint import problems_of
from slipway.remote.weights.chunks import Chunk
from slipway.remote.weights.listing import Listing, printable
from slipway.remote.weights.manifest import MANIFEST, BadManifest, Manifest, parse_manifest
from slipway.remote.weights.versions import ModelStore


@dataclass(frozen=True)
class Known:
    """The digests of a source's chunks by number; none where nothing is known. ``by`` says who knows them."""

    manifest: Manifest | None = None
    by: str = ""
    hint: str = ""
    digests: Mapping[int, str] = field(default_factory=dict)

    def fits(self, chunk: Chunk, digest: str) -> bool:
        return self.digests.get(chunk.number, digest) == digest

    def refusal(self, where: str) -> Refused:
        return Refused(f"{where} of the source differs from {self.by}; nothing was published", self.hint)


def known_of(model: Listing, store: ModelStore, algorithm: str) -> Known:
    """The manifest beside the source, else that of a version which was made from the same files and has digests of this
    algorithm. Raises Refused."""
    beside = source_manifest(model)
    if beside:
        hint = "mend that file in the source, or take its manifest anew if the change is meant"
        return _known(beside, "the manifest beside the source", hint)
    staged = store.manifest_made_from(model.fingerprint, algorithm)
    if staged:
        hint = (
            "mend that file in the source; if the change is meant, `touch` it: its size and time are still the old ones"
        )
        return _known(staged, f"what the same files held when {staged.digest[:12]} was staged", hint)
    return Known()


def source_manifest(model: Listing) -> Manifest | None:
    """The manifest that lies beside the files of a source; None where none does. Raises Refused where it is damaged."""
    path = model.folder / MANIFEST
    try:
        return parse_manifest(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except BadManifest as error:
        raise Refused(f"{path}: {error}", "take the source's manifest anew") from error


def digest_beside(model: Listing) -> str:
    """The digest that a source's own manifest gives the model; empty where none lies beside it. Raises OSError."""
    try:
        return hashlib.sha256((model.folder / MANIFEST).read_bytes()).hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return ""


def problems_of_source(model: Listing, pickles: Collection[str] = ()) -> list[str]:
    """What is wrong with a source, also beside its own manifest; the weights themselves are not read."""
    problems = problems_of(model, pickles)
    try:
        beside = source_manifest(model)
    except Refused as refused:
        return [*problems, str(refused)]
    return [*problems, *unlike(model, beside)] if beside else problems


def unlike(model: Listing, manifest: Manifest) -> Iterator[str]:
    """Where names and sizes of a source are not those of its manifest, one line a file."""
    wanted = {file.name: file.size for file in manifest.files}
    seen = {file.name: file.size for file in model.files}
    for name in sorted(wanted.keys() | seen.keys()):
        if name not in seen:
            yield f"{printable(name)}: is missing, though the manifest beside the source names it"
        elif name not in wanted:
            yield f"{printable(name)}: does not stand in the manifest beside the source"
        elif seen[name] != wanted[name]:
            yield f"{printable(name)}: has {seen[name]} bytes, the manifest beside the source says {wanted[name]}"


def _known(manifest: Manifest, by: str, hint: str) -> Known:
    return Known(manifest, by, hint, {chunk.number: digest for chunk, digest in manifest.chunks()})
