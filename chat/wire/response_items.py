"""The output items of a response, and the numbered events about them.

Source: https://www.openresponses.org/specification
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

_encode = msgspec.json.Encoder().encode


class TextKind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of item with a text: its names in events, and the fields that it has from the beginning."""

    type: str
    prefix: str
    text: str
    part: dict[str, Any]
    fields: dict[str, Any] = {}
    extra: dict[str, Any] = {}


MESSAGE: Final = TextKind(
    type="message",
    prefix="msg",
    text="output_text",
    part={"type": "output_text", "annotations": [], "logprobs": []},
    fields={"role": "assistant", "content": []},
    extra={"logprobs": []},
)
REASONING: Final = TextKind(
    type="reasoning",
    prefix="rs",
    text="reasoning_text",
    part={"type": "reasoning_text"},
    fields={"summary": [], "content": [], "encrypted_content": None},
)


class ItemWriter:
    """Keeps the items of one response, and yields an event for each change. Events up to number `after` are empty.

    `name` makes the ids of messages unique.
    """

    def __init__(self, name: str, after: int) -> None:
        self.output: list[dict[str, Any]] = []
        self._name = name
        self._after = after
        self._number = 0
        # The message or reasoning that is being written: its kind, its pieces, and its events up to the piece.
        self._kind: TextKind | None = None
        self._pieces: list[bytes] = []
        self._delta = (b"", b"")

    @property
    def has_begun(self) -> bool:
        return self._number > 0

    def event(self, name: str, fields: dict[str, Any]) -> bytes:
        """Return the next event."""
        number = self._number
        self._number = number + 1
        if number <= self._after:
            return b""
        data = _encode({"type": f"response.{name}", **fields, "sequence_number": number})
        return b"event: response.%b\ndata: %b\n\n" % (name.encode(), data)

    def add(self, item: dict[str, Any]) -> Iterator[bytes]:
        """Add an item behind the text before it, which ends."""
        yield from self.close()
        self.output.append(item)
        yield self.event("output_item.added", {"output_index": len(self.output) - 1, "item": item})

    def done(self, at: int, **changes: Any) -> bytes:
        """Return the event of an item that is complete with these changes."""
        self.output[at] = {**self.output[at], **changes}
        return self.event("output_item.done", {"output_index": at, "item": self.output[at]})

    def write(self, kind: TextKind, pieces: Sequence[bytes]) -> Iterator[bytes]:
        """Add pieces of a message or of reasoning, as JSON string literals without quotation marks."""
        if self._kind is not kind:
            yield from self._begin(kind)
        self._pieces += pieces
        first, (head, middle) = self._number, self._delta
        self._number = first + len(pieces)
        known = max(0, self._after + 1 - first)
        numbered = enumerate(pieces[known:], first + known)
        yield b"".join([b'%b%d%b%b"}\n\n' % (head, number, middle, piece) for number, piece in numbered])

    def _begin(self, kind: TextKind) -> Iterator[bytes]:
        yield from self.close()
        name = f"{kind.prefix}_{self._name}_{len(self.output)}"
        yield from self.add({"type": kind.type, "id": name, "status": "in_progress", **kind.fields})
        self._kind = kind
        place = {"item_id": name, "output_index": len(self.output) - 1, "content_index": 0}
        yield self.event("content_part.added", {**place, "part": {**kind.part, "text": ""}})
        # The events of the pieces differ in number and text only.
        start = _encode({"type": f"response.{kind.text}.delta", **place, **kind.extra})[:-1]
        head = b"event: response.%b.delta\ndata: %b" % (kind.text.encode(), start)
        self._delta = head + b',"sequence_number":', b',"delta":"'

    def close(self, status: str = "completed") -> Iterator[bytes]:
        """End the message or reasoning that is being written."""
        if (kind := self._kind) is None:
            return
        text = msgspec.json.decode(b'"%b"' % b"".join(self._pieces))
        self._kind, self._pieces = None, []
        at = len(self.output) - 1
        place = {"item_id": self.output[at]["id"], "output_index": at, "content_index": 0}
        part = {**kind.part, "text": text}
        yield self.event(f"{kind.text}.done", {**place, **kind.extra, "text": text})
        yield self.event("content_part.done", {**place, "part": part})
        yield self.done(at, status=status, content=[part])
