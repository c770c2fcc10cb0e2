"""Params and results of an execution, shortened for events, for rows, and for a model."""

import hashlib
from collections.abc import Callable
from typing import Any, Final

import msgspec

from web.plurals import noun_for

HEAD: Final = 3 / 4
"""The share of an excerpt that the beginning gets; the end gets the rest."""

MAX_PARAM_BYTES: Final = 4 * 1_024
"""Bytes of a param's text that an event shows; a longer one is replaced by its hash and size."""

MAX_KEPT_BYTES: Final = 2 * 2**20
"""Bytes of params that a row stores; larger ones are stored as an event shows them."""

MAX_ITEMS: Final = 100
"""Items of each list that a row stores of a large result; the output store has all of them."""

INLINE_BYTES: Final = 8 * 1_024
"""Bytes of printed text that a row stores."""

BINARY: Final = "_base64"
"""The suffix of the names of params and fields whose text is bytes in base64."""


class Excerpt:
    """The head and the tail of a text that comes in pieces, of at most `max_bytes` together."""

    def __init__(self, max_bytes: int) -> None:
        self.size = 0
        self._max_head = int(max_bytes * HEAD)
        self._max_tail = max_bytes - self._max_head
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
        """Return the whole text, or its head and its tail with a note of the size that is missing."""
        if self.is_whole:
            return (self._head + self._tail).decode()
        missing = self.size - len(self._head) - len(self._tail)
        # Both are cut at bytes, which may be in the middle of a character.
        head, tail = self._head.decode("utf-8", "ignore"), self._tail.decode("utf-8", "ignore")
        return f"{head}\n[... {missing} {noun_for(missing, 'byte')} left out ...]\n{tail}"


def show(data: Any, max_bytes: int, note: str) -> str:
    """Return the result as JSON of at most about `max_bytes`: its head, a `note` on the rest, and its tail."""
    text = msgspec.json.encode(without_binary(data))
    return text.decode() if len(text) <= max_bytes else _excerpt(text, max_bytes, note)


def event_params(params: Any) -> Any:
    """Return params as an event shows them: each long text as `{"sha256", "size"}`."""
    # Every subscriber is sent an event, and a patch or a file can be megabytes. The row has the text.
    return _each(params, lambda name, text: len(text) > MAX_PARAM_BYTES and len(text.encode()) > MAX_PARAM_BYTES)


def row_params(params: Any) -> Any:
    """Return params as a row stores them: without binary, or as an event shows them if they are too large."""
    if len(msgspec.json.encode(params)) > MAX_KEPT_BYTES:
        return event_params(params)
    return _each(params, lambda name, text: name.endswith(BINARY))


def row_data(data: Any, max_bytes: int) -> Any:
    """Return the result as a row stores it: without binary, and shortened if it is longer than `max_bytes`."""
    plain = without_binary(data)
    size = len(msgspec.json.encode(plain))
    if size <= max_bytes:
        return plain
    # A shortened result has the fields of the whole one, which a reader of rows can still use.
    short = _shortened(plain, max_bytes // 4)
    text = msgspec.json.encode(short)
    return short if len(text) <= max_bytes else {"excerpt": _excerpt(text, max_bytes, "cut")}


def _each(value: Any, is_long: Callable[[str, str], bool], name: str = "") -> Any:
    """Return the value with a digest in the place of each text for which `is_long(name, text)` is true."""
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
    """Return the names of the fields of a result whose text is bytes in base64."""
    if not isinstance(data, dict):
        return frozenset()
    # `fs.read` returns a file that is not text in `content`, and names its encoding.
    content = {"content"} if data.get("encoding") == "base64" else set()
    return frozenset({name for name in data if name.endswith(BINARY)} | content)


def without_binary(data: Any) -> Any:
    """Return a result with its base64 replaced by a digest."""
    # No model can read base64, and it costs as many tokens as text does.
    binary = binary_names(data)
    if not binary:
        return data
    return {
        name: _digest(data[name]) if name in binary and isinstance(data[name], str) else data[name] for name in data
    }


def _shortened(value: Any, max_bytes: int) -> Any:
    if isinstance(value, str):
        text = value.encode("utf-8", "replace")
        return value if len(text) <= max_bytes else _excerpt(text, max_bytes, "cut")
    if isinstance(value, dict):
        return {name: _shortened(item, max_bytes) for name, item in value.items()}
    if isinstance(value, list):
        return [_shortened(item, max_bytes) for item in value[:MAX_ITEMS]]
    return value


def _excerpt(text: bytes, max_bytes: int, note: str) -> str:
    head = text[: int(max_bytes * HEAD)].decode("utf-8", "ignore")
    tail = text[len(text) - int(max_bytes * (1 - HEAD)) :].decode("utf-8", "ignore")
    left_out = len(text) - max_bytes
    return f"{head}\n[... {left_out} {noun_for(left_out, 'byte')} left out; {note} ...]\n{tail}"
