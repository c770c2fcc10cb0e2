"""What is shown of an execution: its params in events and rows, and its result to a model and in the row."""

import hashlib
from collections.abc import Callable
from typing import Any, Final

import msgspec

HEAD: Final = 3 / 4
"""The part of the room that the beginning gets; the end gets the rest."""

MAX_PARAM_BYTES: Final = 4 * 1_024
"""Bytes of a text that an event shows of the params; of a longer one it tells the hash and the size."""

MAX_KEPT_BYTES: Final = 2 * 2**20
"""Bytes of params that a row keeps; of larger ones it keeps what an event shows."""

MAX_ITEMS: Final = 100
"""Items of each list that a row keeps of a large result; the whole is in the output store."""

INLINE_BYTES: Final = 8 * 1_024
"""Bytes that a row keeps of what a tool printed."""

BINARY: Final = "_base64"
"""How the names of params and fields end whose text is bytes in base64."""


class Excerpt:
    """The head and the tail of a text that comes in pieces, of at most `most` bytes together."""

    def __init__(self, most: int) -> None:
        self.size = 0
        self._max_head = int(most * HEAD)
        self._max_tail = most - self._max_head
        self._head = bytearray()
        self._tail = bytearray()

    def add(self, text: str) -> None:
        data = text.encode("utf-8", "replace")
        self.size += len(data)
        room = self._max_head - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        del self._tail[: max(0, len(self._tail) - self._max_tail)]

    @property
    def is_whole(self) -> bool:
        return self.size == len(self._head) + len(self._tail)

    def text(self) -> str:
        """All of it, or its head and its tail with a note of what is missing."""
        if self.is_whole:
            return (self._head + self._tail).decode()
        missing = self.size - len(self._head) - len(self._tail)
        head, tail = self._head.decode("utf-8", "ignore"), self._tail.decode("utf-8", "ignore")
        return f"{head}\n[... {missing} bytes left out ...]\n{tail}"


def show(data: Any, most: int, note: str) -> str:
    """The result as JSON of at most about `most` bytes: its head and its tail, with `note` on what is missing."""
    text = msgspec.json.encode(without_binary(data))
    return text.decode() if len(text) <= most else _excerpt(text, most, note)


def event_params(params: Any) -> Any:
    """Params as an event shows them: each long text as `{"sha256", "size"}`."""
    return _each(params, lambda name, text: len(text) > MAX_PARAM_BYTES and len(text.encode()) > MAX_PARAM_BYTES)


def row_params(params: Any) -> Any:
    """Params as a row keeps them: whole but for binary, or like an event's where they are too large."""
    if len(msgspec.json.encode(params)) > MAX_KEPT_BYTES:
        return event_params(params)
    return _each(params, lambda name, text: name.endswith(BINARY))


def row_data(data: Any, most: int) -> Any:
    """The result as a row keeps it: without binary, and of one longer than `most` bytes the beginnings of its parts."""
    plain = without_binary(data)
    size = len(msgspec.json.encode(plain))
    if size <= most:
        return plain
    short = _shortened(plain, most // 4)
    text = msgspec.json.encode(short)
    return short if len(text) <= most else {"excerpt": _excerpt(text, most, "cut")}


def _each(value: Any, is_long: Callable[[str, str], bool], name: str = "") -> Any:
    """The value with a digest in the place of each text that is `is_long(name, text)`."""
    if isinstance(value, str):
        return _digest(value) if is_long(name, value) else value
    if isinstance(value, dict):
        return {key: _each(item, is_long, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_each(item, is_long, name) for item in value]
    return value


def _digest(text: str) -> dict[str, Any]:
    data = text.encode("utf-8", "replace")
    return {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}


def binary_names(data: Any) -> frozenset[str]:
    """The names of the fields of a result whose text is bytes in base64."""
    if not isinstance(data, dict):
        return frozenset()
    content = {"content"} if data.get("encoding") == "base64" else set()
    return frozenset({name for name in data if name.endswith(BINARY)} | content)


def without_binary(data: Any) -> Any:
    """The same with its base64 replaced by a digest: no model can read it, and it costs as much as text."""
    binary = binary_names(data)
    if not binary:
        return data
    return {
        name: _digest(data[name]) if name in binary and isinstance(data[name], str) else data[name] for name in data
    }


def _shortened(value: Any, most: int) -> Any:
    if isinstance(value, str):
        text = value.encode("utf-8", "replace")
        return value if len(text) <= most else _excerpt(text, most, "cut")
    if isinstance(value, dict):
        return {name: _shortened(item, most) for name, item in value.items()}
    if isinstance(value, list):
        return [_shortened(item, most) for item in value[:MAX_ITEMS]]
    return value


def _excerpt(text: bytes, most: int, note: str) -> str:
    head = text[: int(most * HEAD)].decode("utf-8", "ignore")
    tail = text[len(text) - int(most * (1 - HEAD)) :].decode("utf-8", "ignore")
    return f"{head}\n[... {len(text) - most} bytes left out; {note} ...]\n{tail}"
