"""The content blocks of one answer while their pieces arrive.

https://docs.anthropic.com/en/docs/build-with-claude/streaming
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from chat.engine.messages import ToolCall
from chat.engine.text import whole_text
from chat.engine.transcript import decode_pieces
from chat.providers.base import new_call_id, tool_name
from chat.providers.event_reader import ReasoningText
from tools.execution.arguments import decode_object

MAX_BLOCKS: Final = 1_000
"""Blocks of one answer. A service that sends more is broken."""

KIND_OF_FIELD: Final = {
    "text": "text",
    "thinking": "thinking",
    "signature": "thinking",
    "partial_json": "tool_use",
}
"""The kind of block to which a delta with a field belongs, if the service did not begin one."""

SIGNED: Final = frozenset({"thinking", "redacted_thinking"})

Json = dict[str, Any]


class Block:
    """A block as the service began it, and what its deltas added.

    `pieces` is its text as parts of a JSON string literal; `added` has the pieces of its other fields. It `is_whole`
    once the service ended it.
    """

    def __init__(self, start: Json) -> None:
        self.kind = str(start.get("type"))
        self.start = {**start, "type": self.kind}
        self.pieces: list[bytes] = []
        self.added: dict[str, list[str]] = {}
        self.is_whole = False

    def field(self, name: str) -> str:
        """Return a text field: its first value, followed by all additions."""
        start = self.start.get(name)
        return "".join([start if isinstance(start, str) else "", *self.added.get(name, ())])

    @property
    def text(self) -> str:
        return decode_pieces(self.pieces)

    @property
    def arguments(self) -> str:
        """The JSON of a tool's input. Some services send it whole, as an object at the start."""
        written = whole_text(self.field("partial_json"))
        if written.strip():
            return written
        start = self.start.get("input")
        return whole_text(start if isinstance(start, str) else json.dumps(start)) if start else "{}"

    def original(self) -> Json | None:
        """Return a block exactly as the service sent it, or None if it cannot be sent back like that."""
        block = dict(self.start)
        for name in self.added:
            block[name] = self.field(name)
        if block.pop("partial_json", None) is not None:
            block["input"] = decode_object(self.arguments) or {}
        try:
            written = msgspec.json.encode(block)
        except (ValueError, OverflowError, RecursionError):
            return None
        # A text that cannot be stored as it came no longer fits its signature.
        return None if b"\\u0000" in written else block


class Blocks:
    """The blocks in the order in which they began, of which all thinking goes to `reasoning`.

    `names` has the registry's name of each tool by its wire name.
    """

    def __init__(self, names: Mapping[str, str], reasoning: ReasoningText) -> None:
        self.all: list[Block] = []
        self._names = names
        self._reasoning = reasoning
        self._thinking: Block | None = None
        self._by_index: dict[Any, Block] = {}

    def begin(self, index: Any, start: Json) -> Block:
        """Begin a block. Raise `ValueError` if there are too many."""
        if len(self.all) == MAX_BLOCKS:
            raise ValueError(f"more than {MAX_BLOCKS} content blocks")
        block = Block(start)
        self.all.append(block)
        self._by_index[index] = block
        return block

    def think(self, block: Block, text: Any) -> None:
        """Add the thinking of a block, with a blank line before that of another block."""
        if isinstance(text, str) and text:
            if self._thinking not in {None, block}:
                self._reasoning.add("\n\n")
            self._thinking = block
            self._reasoning.add(text)

    def next_stream(self) -> None:
        """Give the next blocks numbers of their own."""
        self._by_index.clear()

    def at(self, index: Any) -> Block | None:
        return self._by_index.get(index)

    def calls(self) -> dict[Block, ToolCall]:
        """Return the tool calls by their blocks, each with an id of its own."""
        found: dict[Block, ToolCall] = {}
        used: set[str] = set()
        for block in self.all:
            if block.kind == "tool_use":
                call_id = whole_text(block.field("id"))
                call_id = new_call_id() if not call_id or call_id in used else call_id
                used.add(call_id)
                name = tool_name(whole_text(block.field("name")), self._names)
                found[block] = ToolCall(call_id=call_id, name=name, arguments=block.arguments)
        return found

    def sent_back(self, calls: Mapping[Block, ToolCall]) -> Iterator[Json]:
        """Yield the blocks to replay. The input of a call is not part of them: it is in the message.

        A block that cannot be sent back has no type.
        """
        last = len(self.all) - 1
        for number, block in enumerate(self.all):
            if block.kind == "text":
                # The service rejects an empty text.
                if block.text.strip():
                    yield {"type": "text", "text": block.text}
            elif block.kind == "tool_use":
                if block in calls:
                    yield {"type": "tool_use", "id": calls[block].call_id}
            elif block.is_whole or number < last:
                yield block.original() or {"type": ""}
