"""The JSON object that a program is asked with. Each reader checks one field and names it where it is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from slipway.remote.refusal import Refused


def load_request(stream: BinaryIO) -> Request:
    """Read the whole stream as one JSON object. Raises Refused where it is none."""
    try:
        values = json.loads(stream.read())
    except (ValueError, RecursionError) as error:
        raise Refused(f"the request on standard input is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise Refused("the request on standard input is not a JSON object")
    return Request(values)


class Request(Mapping[str, Any]):
    """A JSON object, read field by field. What is missing or null has its default, or is refused without one."""

    def __init__(self, values: Mapping[str, Any], place: str = "") -> None:
        self._values = values
        self._place = place

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def place(self, name: str) -> str:
        """The field as a message names it: ``steps[0].argv``."""
        return f"{self._place}.{name}" if self._place else name

    def text(self, name: str, default: str | None = None) -> str:
        return self._sound(name, self._values.get(name), default)

    def optional_text(self, name: str) -> str | None:
        return None if self._values.get(name) is None else self.text(name)

    def texts(self, name: str) -> list[str]:
        values = self._list(name)
        return [self._sound(f"{name}[{index}]", value, None) for index, value in enumerate(values)]

    def variables(self, name: str) -> dict[str, str]:
        """An object of texts, for an environment, labels or headers."""
        values = self._values.get(name)
        if values is None:
            return {}
        if not isinstance(values, dict):
            raise self.wrong(name, "is not an object")
        for key in values:
            if not key or "=" in key or "\0" in key:
                raise self.wrong(name, f"{key!r} cannot be a name")
            self._sound(name, key, None)
        return {key: self._sound(f"{name}.{key}", value, None) for key, value in values.items()}

    def flag(self, name: str) -> bool:
        value = self._values.get(name, False)
        if not isinstance(value, bool):
            raise self.wrong(name, "is neither true nor false")
        return value

    def integer(self, name: str, default: int | None = None, *, low: int = 0, high: int = 1 << 62) -> int:
        value = self._values.get(name)
        return self._whole(name, default if value is None else value, low, high)

    def integers(self, name: str, *, low: int = 0, high: int = 1 << 62) -> list[int]:
        return [self._whole(f"{name}[{index}]", value, low, high) for index, value in enumerate(self._list(name))]

    def number(self, name: str, default: float | None = None, *, low: float = 0.0, high: float = 1e9) -> float:
        value = self._values.get(name)
        value = default if value is None else value
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not low <= value <= high:
            raise self.wrong(name, f"is not a number from {low:g} to {high:g}")
        return float(value)

    def part(self, name: str) -> Request | None:
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.wrong(name, "is not an object")
        return Request(value, self.place(name))

    def parts(self, name: str) -> list[Request]:
        values = self._list(name)
        if not all(isinstance(value, dict) for value in values):
            raise self.wrong(name, "is not a list of objects")
        return [Request(value, self.place(f"{name}[{index}]")) for index, value in enumerate(values)]

    def wrong(self, name: str, why: str) -> Refused:
        return Refused(f"{self.place(name)}: {why}")

    def _whole(self, name: str, value: Any, low: int, high: int) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.wrong(name, f"is not a whole number from {low} to {high}")
        return value

    def _list(self, name: str) -> list[Any]:
        values = self._values.get(name)
        if values is None:
            return []
        if not isinstance(values, list):
            raise self.wrong(name, "is not a list")
        return values

    def _sound(self, name: str, value: Any, default: str | None) -> str:
        value = default if value is None else value
        if not isinstance(value, str):
            raise self.wrong(name, "is missing" if value is None else "is not a text")
        if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
            raise self.wrong(name, "holds a character that no argument, name or file can have")
        return value
