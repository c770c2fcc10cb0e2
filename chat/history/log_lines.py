"""A stored event log as lines for people: a run of tokens is one line, and every other event its own."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from chat.wire.sse import Splitter


class EventLine(msgspec.Struct, frozen=True, kw_only=True):
    """Events `first` to `last`, all of one type; `text` is that of tokens, `fields` are any other event's."""

    first: int
    last: int
    kind: str
    text: str = ""
    fields: dict[str, Any] = {}

    @property
    def numbers(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


def event_lines(rows: Iterable[tuple[int, bytes]]) -> Iterator[EventLine]:
    """The lines of rows of frames, each with the number of its first, in their order."""
    tokens: list[str] = []
    number = 0
    for number, event in _events(rows):
        if event.get("type") == "token":
            tokens.append(str(event.get("token")))
            continue
        if tokens:
            yield _tokens(number - 1, tokens)
            tokens = []
        yield EventLine(first=number, last=number, kind=str(event.pop("type", "")), fields=event)
    if tokens:
        yield _tokens(number, tokens)


def _tokens(last: int, tokens: list[str]) -> EventLine:
    return EventLine(first=last - len(tokens) + 1, last=last, kind="token", text="".join(tokens))


def _events(rows: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, dict[str, Any]]]:
    for first, frames in rows:
        for number, data in enumerate(Splitter().feed(frames), first):
            yield number, msgspec.json.decode(data, type=dict[str, Any])
