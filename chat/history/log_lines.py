"""A stored event log as lines for people: consecutive tokens are one line, and every other event is its own."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from chat.wire.sse import Splitter


class EventLine(msgspec.Struct, frozen=True, kw_only=True):
    """Events `first` to `last` of one type. Tokens have their `text`, and any other event has `fields`."""

    first: int
    last: int
    kind: str
    text: str = ""
    fields: dict[str, Any] = {}

    @property
    def numbers(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


def event_lines(rows: Iterable[tuple[int, bytes]]) -> Iterator[EventLine]:
    """Yield the lines of rows of frames. Each row has the number of its first frame."""
    tokens: list[str] = []
    number = 0
    for first, frames in rows:
        for number, data in enumerate(Splitter().feed(frames), first):
            event = msgspec.json.decode(data, type=dict[str, Any])
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
