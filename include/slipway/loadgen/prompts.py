"""Synthetic prompts of an exact number of tokens, counted by the served model's own tokenizer.

The server tokenizes (``/tokenize`` and ``/detokenize`` of vLLM), so no tokenizer is needed here. Words are drawn from a
seed, cut to size by their tokens, and every prompt is counted once more as it will be sent.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import httpx

from slipway.errors import LoadTestFailed
from slipway.loadgen.tls import open_context

_WORDS = """
    about above across after again air almost along also always another answer around away back because before began
    below between big book both boy bring brought build came car carry change city close cold come country cut day did
    door down each early earth eat end enough even every eye face family far farm father feet few field find fire first
    fish five follow food form found four friend from full game gave girl give good great green ground group grow half
    hand hard head hear help here high hold home horse hot house idea into island just keep kind king know land large
    last late learn leave left letter life light like line list listen little live long look made make many mark mean
    measure might mile money moon more morning most mother mountain move much music name near need never new next night
    north note number often old once only open order other over own page paper part pass people picture place plan plant
    play point pound power problem produce pull put question quick rain reach read real red rest river road rock room
    round rule run same saw school sea second see seem sentence serve set several shape ship short show side simple
    since sing six sleep slow small snow some song soon sound south space special spell stand star start stay step still
    stop story street strong study such sun sure surface table take talk teach tell ten test than then there think three
    through time together told took top toward town travel tree true turn under unit until usual very voice vowel wait
    walk want warm watch water way week weight well west wheel where while white whole wind winter wish wonder wood word
    work world write year young
"""

WORDS = tuple(_WORDS.split())

AT_ONCE = 8
"""Questions to the tokenizer that are under way at the same time."""

TRIES = 20
"""How many candidates a prompt may take on average before the tokenizer is given up."""

VARIED_WORDS = 32


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt and the number of tokens of its own text. Only a ``synthetic`` one may be varied, behind the first
    ``kept`` characters, which all prompts of the cell share. One of a trace has a time, in seconds since the trace
    began, and the length of its answer."""

    text: str
    tokens: int
    synthetic: bool = False
    kept: int = 0
    due_s: float | None = None
    output_tokens: int | None = None


def make_prompts(
    base_url: str,
    model: str,
    tokens: int,
    count: int,
    seed: int | str,
    endpoint: Literal["chat", "completions"],
    *,
    api_key: str | None = None,
    ca_file: str | None = None,
    shared: int = 0,
) -> list[Prompt]:
    """``count`` different prompts of exactly ``tokens`` tokens each, of which the first ``shared`` are the same.

    For ``completions`` that is the whole prompt as ``usage`` counts it, with the tokenizer's own special tokens.
    For ``chat`` it is the message's own text; the chat template comes on top, and is so too in every request: where
    words melt into the template, only prompts are taken with which the whole request has the usual number of tokens.
    Raises LoadTestFailed where the server does not tokenize, or no such prompt is found.
    """
    with _open_tokenizer(base_url, model, endpoint, api_key, ca_file) as tokenizer:
        chance = random.Random(f"{seed}")  # noqa: S311 - draws words, keeps no secret
        lead = _lead(tokenizer, shared, chance)
        texts = _collect(tokenizer, tokens, count, chance, lead)
        return [Prompt(text, tokens, synthetic=True, kept=len(lead)) for text in texts]


def count_prompts(
    base_url: str,
    model: str,
    texts: Sequence[str],
    endpoint: Literal["chat", "completions"],
    *,
    api_key: str | None = None,
    ca_file: str | None = None,
) -> list[Prompt]:
    """Texts of a data set as prompts, counted by the server. Raises LoadTestFailed where it does not tokenize."""
    with _open_tokenizer(base_url, model, endpoint, api_key, ca_file) as tokenizer, ThreadPoolExecutor(AT_ONCE) as pool:
        count = (lambda text: len(tokenizer.ids(text))) if tokenizer.chat else tokenizer.count
        return [Prompt(text, tokens) for text, tokens in zip(texts, pool.map(count, texts), strict=True)]


def fit_prompts(
    base_url: str,
    model: str,
    lengths: Sequence[int],
    seed: int | str,
    endpoint: Literal["chat", "completions"],
    *,
    api_key: str | None = None,
    ca_file: str | None = None,
) -> list[Prompt]:
    """A prompt for each length, in tokens as :func:`make_prompts` counts them, and counted once more: where words melt
    together at the cut, it may have a token more or less. Raises LoadTestFailed where the server does not tokenize."""
    with _open_tokenizer(base_url, model, endpoint, api_key, ca_file) as tokenizer, ThreadPoolExecutor(AT_ONCE) as pool:
        chance = random.Random(f"{seed}")  # noqa: S311 - draws words, keeps no secret
        specials = 0 if tokenizer.chat else tokenizer.count("")

        def fit(words: str, tokens: int) -> Prompt:
            text = tokenizer.text(tokenizer.ids(words)[: max(1, tokens - specials)]).strip()
            return Prompt(text, len(tokenizer.ids(text)) + specials)

        drawn = (" ".join(chance.choices(WORDS, k=tokens)) for tokens in lengths)
        return list(pool.map(fit, drawn, lengths))


@contextmanager
def _open_tokenizer(
    base_url: str, model: str, endpoint: str, api_key: str | None, ca_file: str | None
) -> Iterator[_Tokenizer]:
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    checked = open_context(base_url, ca_file) or True
    with httpx.Client(base_url=base_url, headers=headers, timeout=60, trust_env=False, verify=checked) as client:
        yield _Tokenizer(client, model, chat=endpoint == "chat")


def vary(prompt: Prompt, chance: random.Random) -> Prompt:
    """The same words in another order, so that a used prompt is new to the prefix cache.

    The first word stays, because it alone stands without a space before it: the number of tokens stays too.
    """
    if not prompt.synthetic:
        return prompt
    kept, own = prompt.text[: prompt.kept], prompt.text[prompt.kept :]
    first, *words = own.split(" ", VARIED_WORDS)
    rest = words[VARIED_WORDS - 1 :]
    varied = words[: VARIED_WORDS - 1]
    chance.shuffle(varied)
    return replace(prompt, text=kept + " ".join([first, *varied, *rest]))


def save_prompts(path: Path, prompts: Iterable[Prompt]) -> None:
    """One JSON object a line: ``prompt``, and a prompt's other fields by their names."""
    lines = (asdict(each) for each in prompts)
    path.write_text("".join(f"{json.dumps({'prompt': line.pop('text'), **line})}\n" for line in lines), "utf-8")


def load_prompts(path: Path) -> list[Prompt]:
    """The prompts in a file. Raises LoadTestFailed, with the line, where one is wrong."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        message = f"cannot read the prompts {path}: {error.strerror}"
        raise LoadTestFailed(message, hint="make them first: see slipway.loadgen.prepare") from error
    return [_parse_prompt(path, number, line) for number, line in enumerate(lines, start=1)]


def _parse_prompt(path: Path, number: int, line: str) -> Prompt:
    try:
        read = json.loads(line)
        synthetic, kept = bool(read.get("synthetic", False)), int(read.get("kept", 0))
        due_s, output_tokens = read.get("due_s"), read.get("output_tokens")
        return Prompt(str(read["prompt"]), int(read["tokens"]), synthetic, kept, due_s, output_tokens)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"{path}, line {number}: {error!r}"
        raise LoadTestFailed(message, hint='each line is {"prompt": "...", "tokens": 32}') from error


@dataclass(frozen=True)
class _Tokenizer:
    """The server's tokenizer, as it is used for one endpoint."""

    client: httpx.Client
    model: str
    chat: bool

    def ids(self, text: str) -> list[int]:
        """The tokens of a bare text."""
        return list(self._post("/tokenize", {"prompt": text, "add_special_tokens": False})["tokens"])

    def count(self, text: str) -> int:
        """All tokens of a request with this prompt: with the chat template, or with the special tokens."""
        asked: dict[str, object]
        asked = {"messages": [{"role": "user", "content": text}]} if self.chat else {"prompt": text}
        return int(self._post("/tokenize", asked)["count"])

    def text(self, ids: Sequence[int]) -> str:
        return str(self._post("/detokenize", {"tokens": list(ids)})["prompt"])

    def _post(self, path: str, body: dict[str, object]) -> dict[str, Any]:
        try:
            answer = self.client.post(path, json={"model": self.model, **body})
            answer.raise_for_status()
            read: dict[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            hint = "is it vLLM, and is the model's name right? Else give a prompts_file"
            raise LoadTestFailed(f"the server does not tokenize: {path}: {error}", hint=hint) from error
        return read


def _lead(tokenizer: _Tokenizer, shared: int, chance: random.Random) -> str:
    """A beginning of ``shared`` tokens."""
    words = " ".join(chance.choices(WORDS, k=shared))
    return tokenizer.text(tokenizer.ids(words)[:shared]).strip() if shared else ""


def _collect(tokenizer: _Tokenizer, tokens: int, count: int, chance: random.Random, lead: str) -> list[str]:
    specials = 0 if tokenizer.chat else tokenizer.count("")
    if tokens <= specials:
        raise LoadTestFailed(f"a prompt has at least {specials + 1} tokens here", hint=f"ask for more than {tokens}")
    found: dict[str, None] = {}
    whole = None if tokenizer.chat else tokens
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        for _ in range(TRIES):
            drawn = (" ".join(chance.choices(WORDS, k=tokens)) for _ in range(max(16, count - len(found))))
            texts = [f"{lead} {text}" if lead else text for text in drawn]
            counted = list(pool.map(lambda text: _cut_to_size(tokenizer, text, tokens - specials), texts))
            whole = whole or Counter(size for _, size in counted).most_common(1)[0][0]
            found |= {text: None for text, size in counted if size == whole}
            if len(found) >= count:
                return list(found)[:count]
    message = f"only {len(found)} of {count} prompts of exactly {tokens} tokens were found"
    raise LoadTestFailed(message, hint="choose another number of tokens, or give a prompts_file")


def _cut_to_size(tokenizer: _Tokenizer, text: str, own: int) -> tuple[str, int]:
    """The first ``own`` tokens of a text, and how many tokens a request with them has."""
    beginning = tokenizer.text(tokenizer.ids(text)[:own]).strip()
    return beginning, tokenizer.count(beginning)
