"""What a role shall run, as it was asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from slipway.remote.probe.asking import Question, parse_question
from slipway.remote.request import Request

DAY_S = 86400.0


@dataclass(frozen=True)
class Step:
    """One process: its arguments, what is added to its environment, its folder (by default the role's), its input."""

    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str | None
    stdin: str


@dataclass(frozen=True)
class Cause:
    """What an end looks like in the server's log, and how often a restart may help against it."""

    id: str
    pattern: re.Pattern[str]
    times: int


@dataclass(frozen=True)
class Restart:
    """How often a server that was ready is started again: ``times`` in ``window_s`` seconds.

    For each of ``causes``, the most telling first, no more often than that says.
    """

    times: int = 0
    window_s: float = 600.0
    causes: tuple[Cause, ...] = ()


@dataclass(frozen=True)
class Liveness:
    """How a server that is ready shows that its engine works: by the samples ``signs`` of its metrics, which move with
    every step, or where those stood still for ``idle_s``, by a completion. Of these ``misses`` in a row are a hang."""

    completion: Question
    metrics: Question
    health: Question
    signs: tuple[str, ...]
    idle_s: float
    misses: int


@dataclass(frozen=True)
class Wanted:
    """A role's steps and how they are looked after. The last step of a ``server`` must not end."""

    digest: str
    labels: dict[str, str]
    steps: tuple[Step, ...]
    server: bool
    ready_url: str | None
    restart: Restart
    liveness: Liveness | None
    term_s: float
    group_s: float
    env_file: str | None
    ports: tuple[int, ...]


def parse_wanted(request: Request) -> Wanted:
    """Check a whole request before anything is done. Raises Refused with the name of the first wrong field."""
    stop = request.part("stop") or Request({})
    steps = tuple(_step(part) for part in request.parts("steps"))
    if not steps:
        raise request.wrong("steps", "there is none")
    digest = request.text("digest")
    if not digest:
        raise request.wrong("digest", "is empty")
    return Wanted(
        digest=digest,
        labels=request.variables("labels"),
        steps=steps,
        server=request.flag("server"),
        ready_url=_ready_url(request),
        restart=_restart(request),
        liveness=_liveness(request),
        term_s=stop.number("term_s", 10, high=DAY_S),
        group_s=stop.number("group_s", 20, high=DAY_S),
        env_file=request.optional_text("env_file"),
        ports=tuple(request.integers("ports", low=1, high=65535)),
    )


def _step(part: Request) -> Step:
    argv = part.texts("argv")
    if not argv or not argv[0]:
        raise part.wrong("argv", "names no program")
    return Step(tuple(argv), part.variables("env"), part.optional_text("cwd"), part.text("stdin", ""))


def _ready_url(request: Request) -> str | None:
    ready = request.part("ready")
    if ready is None:
        return None
    url = ready.text("url")
    try:
        parts = urlsplit(url)
        plain = url.isascii() and url.isprintable() and " " not in url
        sound = plain and parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise ready.wrong("url", f"{url!r} is no http address")
    return url


def _restart(request: Request) -> Restart:
    part = request.part("restart")
    if part is None:
        return Restart()
    if not request.flag("server") or request.part("ready") is None:
        raise request.wrong("restart", "only a server that says by `ready` when it is ready can be started again")
    causes = tuple(_cause(each) for each in part.parts("causes"))
    return Restart(part.integer("times", 3, high=1000), part.number("window_s", 600, high=7 * DAY_S), causes)


def _cause(part: Request) -> Cause:
    try:
        pattern = re.compile(part.text("pattern"))
    except re.error as error:
        raise part.wrong("pattern", f"is no regular expression: {error}") from error
    return Cause(part.text("id"), pattern, part.integer("times", high=1000))


def _liveness(request: Request) -> Liveness | None:
    part = request.part("liveness")
    if part is None:
        return None
    if not request.flag("server") or request.part("ready") is None:
        raise request.wrong("liveness", "only a server that says by `ready` when it is ready can hang")
    completion, metrics, health = (_question(part, name) for name in ("completion", "metrics", "health"))
    signs = tuple(part.texts("signs"))
    return Liveness(
        completion, metrics, health, signs, part.number("idle_s", 10, high=DAY_S), part.integer("misses", 3, low=1)
    )


def _question(part: Request, name: str) -> Question:
    asked = part.part(name)
    if asked is None:
        raise part.wrong(name, "is missing")
    return parse_question(asked)
