"""The cause among all that was said: the most specific signature, and of those the earliest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from slipway.diagnosis.catalogue import Kind, Signature, catalogue
from slipway.diagnosis.lines import Cleaned, Source

PROGRAMS = ("kernel", "ray", "vllm")
"""Of two causes of the same rank, that of the lower program is shown: the other follows from it."""


@dataclass(frozen=True)
class Diagnosis:
    """A cause with the line that shows it, where that was said and by whom, and what to do next."""

    id: str
    kind: Kind
    phase: str
    cause: str
    advice: str
    key: str | None
    host: str
    log: str
    role: str
    line: str

    def data(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def text(self) -> str:
        """For a person, some lines."""
        return told(self.data())


class Found(NamedTuple):
    """A signature that matched, and where."""

    signature: Signature
    match: re.Match[str]
    source: Source
    cleaned: Cleaned

    @property
    def order(self) -> tuple[int, int, int]:
        """The catalogue's own order decides within a line."""
        return self.signature.rank, PROGRAMS.index(self.source.program), self.number

    @property
    def number(self) -> int:
        """The last line that matched: of a traceback the error itself."""
        return self.cleaned.number(max(self.match.start(), self.match.end() - 1))


def diagnose(sources: Iterable[Source], addresses: Mapping[str, str] | None = None) -> Diagnosis | None:
    """The cause; None where no signature is known. ``addresses`` gives a host's name by its address.

    Only for what has failed: a log of something that works may hold such lines, too.
    """
    found = sorted((each for source in sources for each in _found(source)), key=lambda each: each.order)
    return _diagnosis(found[0], addresses or {}) if found else None


def told(data: Mapping[str, Any]) -> str:
    """A diagnosis as it was stored, for a person. One that is unknown has no line to show."""
    where = ", ".join(part for part in (data["log"], data["role"]) if part)
    shown = f"\n  [{data['host']}] {where}: {data['line']}" if data["line"] else ""
    key = f" (in the deployment file: {data['key']})" if data["key"] else ""
    return f"cause: {data['cause']}{shown}\n  next: {data['advice']}{key}"


def _found(source: Source) -> Iterator[Found]:
    cleaned = Cleaned(source.text)
    for signature in catalogue():
        if source.program in signature.programs and (match := signature.pattern.search(cleaned.text)):
            yield Found(signature, match, source, cleaned)


def _diagnosis(found: Found, addresses: Mapping[str, str]) -> Diagnosis:
    signature, cleaned = found.signature, found.cleaned
    speaker = cleaned.speakers[found.number]
    return Diagnosis(
        id=signature.id,
        kind=signature.kind,
        phase=signature.phase,
        cause=signature.said(found.match),
        advice=signature.advice,
        key=signature.key,
        host=addresses.get(speaker.address, speaker.address) or found.source.host,
        log=found.source.name,
        role=speaker.role,
        line=cleaned.lines[found.number].strip(),
    )
