"""The reader of a stream of Anthropic's. It passes text on as bytes, and joins the pieces of all other blocks.

https://docs.anthropic.com/en/docs/build-with-claude/streaming
"""

# Deltas of text are decoded many at a time into small structs. Everything else is rare, and is read as plain JSON.

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from chat.engine.messages import AssistantMessage, ToolCall
from chat.engine.model_port import CompletionEvent, CompletionRequest, Finished, FinishReason, ProviderError, Text
from chat.engine.text import whole_text
from chat.providers.anthropic.blocks import KIND_OF_FIELD, SIGNED, Block, Blocks, Json
from chat.providers.anthropic.parts import parts_of
from chat.providers.anthropic.usage import UsageReport
from chat.providers.base import wire_names
from chat.providers.event_reader import MAX_UNSEEN_CHARACTERS, EventReader, read_values, unknown_end
from chat.providers.refusals import interruption
from chat.wire.sse import END_OF_FRAME

DELTA: Final = b"event: content_block_delta\n"
QUOTE: Final = ord('"')
EMPTY: Final = len('""')

MAX_PAUSES: Final = 8
"""Pauses of one answer. A service may pause while it runs tools of its own."""

REPLAYED: Final = frozenset({"text", "tool_use", *SIGNED})

REASONS: Final[Mapping[str, FinishReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
}
"""The good stop reasons. Any other is a failed answer."""


# There is one of each for every token. They refer to nothing that refers back to them, so the garbage collector need
# not track them.


class _TextDelta(msgspec.Struct, gc=False):
    type: Literal["text_delta"]
    # Raw JSON: the literal goes into an event's bytes without being decoded and encoded again.
    text: msgspec.Raw


class _Event(msgspec.Struct, gc=False):
    type: Literal["content_block_delta"]
    index: int
    delta: _TextDelta


class Reader(EventReader):
    """The answer of the service `name` to a request while its bytes arrive."""

    def __init__(self, name: str, request: CompletionRequest) -> None:
        super().__init__(name)
        self._request = request
        self._blocks = Blocks(wire_names(request.tools), self.reasoning)
        self._usage = UsageReport()
        self._reason = ""
        self._explanation = ""
        self._unseen = 0
        self._pauses = 0
        self._index: Any = None
        self._pieces: list[bytes] = []

    @property
    def finished(self) -> bool:
        return bool(self._reason)

    def rest(self) -> Iterator[CompletionEvent]:
        """Yield the remaining events, once the stream has ended. Raise `ProviderError` if the answer failed."""
        pieces = self._last_pieces()
        yield from self.reasoning.end()
        if pieces:
            yield Text(tuple(pieces))
        if not self.finished:
            try:
                self._check_end(empty=not self._blocks.all)
            except ProviderError:
                # If there is no text, the request is sent again, and then its usage is counted.
                if (pieces or self._said) and (used := self._usage.tokens()):
                    yield used
                raise
        calls = self._blocks.calls()
        yield from calls.values()
        if used := self._usage.tokens():
            yield used
        reason = REASONS.get(self._reason or "end_turn")
        if self._reason == "refusal":
            words = whole_text(self._explanation) or "it gave no reason"
            raise ProviderError(f"{self._name} refused to answer: {words}", code="provider_rejected", retryable=False)
        if reason is None:
            raise self._failure or unknown_end(self._name, self._reason)
        # If the model has stopped by itself, its calls show whether it waits for results.
        if reason == "length":
            # The last call may be incomplete, so none of them is run.
            calls = {}
        else:
            reason = "tool_calls" if calls else "stop"
        blocks = tuple(self._blocks.sent_back(calls))
        # The others depend on a block that cannot be sent back, or whose kind may be refused in every later request.
        kept = blocks if all(block["type"] in REPLAYED for block in blocks) else ()
        yield Finished(reason=reason, provider_parts=self._message(calls, kept).provider_parts)

    def continuation(self) -> CompletionRequest | None:
        if self._reason != "pause_turn" or self._failure is not None or self._pauses == MAX_PAUSES:
            return None
        blocks = tuple(self._blocks.sent_back({}))
        if self._blocks.calls() or not all(block["type"] for block in blocks):
            return None
        self._pauses += 1
        messages = (*self._request.messages, self._message({}, blocks))
        self._restart()
        self._reason = ""
        self._usage = UsageReport(before=self._usage)
        self._blocks.next_stream()
        self._index = None
        return msgspec.structs.replace(self._request, messages=messages)

    def _message(self, calls: dict[Block, ToolCall], blocks: tuple[Json, ...]) -> AssistantMessage:
        """Return the answer as it is stored."""
        text = "".join(block.text for block in self._blocks.all)
        message = AssistantMessage(text=text, tool_calls=tuple(calls.values()))
        parts = parts_of(self._request, message, blocks, self.reasoning.whole)
        return msgspec.structs.replace(message, provider_parts=parts)

    def read_ordinary(self, events: bytes, pieces: list[bytes]) -> bool:
        if not events.startswith((DELTA, b"data: {")):
            return not events
        if self._half or b"\\u" in events:
            return False
        try:
            if not events.isascii():
                # The strings are passed on undecoded, so invalid UTF-8 must fail here.
                events.decode()
            lines = events.replace(DELTA, b"")[len(b"data: ") : -len(END_OF_FRAME)]
            deltas = _decode_lines(lines.replace(b"\n\ndata: ", b"\n"))
        except ValueError:
            return False
        found: list[bytes] = []
        for event in deltas:
            literal = bytes(event.delta.text)
            if event.index != self._index or literal[0] != QUOTE:
                return False
            if len(literal) > EMPTY:
                found.append(literal[1:-1])
        self._pieces += found
        pieces += found
        return True

    def _read(self, events: bytes, pieces: list[bytes]) -> None:
        for block in events.split(END_OF_FRAME):
            # Most events of a segment are ordinary, even if one of them is not.
            if not self.read_ordinary(block + END_OF_FRAME, pieces):
                self.read_block(block, pieces)
            if self.done:
                break

    def read_block(self, block: bytes, pieces: list[bytes]) -> None:
        for value in read_values(block):
            if value == "[DONE]":
                self.done = True
            elif isinstance(value, dict) and not self.done:
                self._read_event(value, pieces)

    def _read_event(self, event: Json, pieces: list[bytes]) -> None:
        kind, index = event.get("type"), event.get("index")
        index = index if isinstance(index, int | str) else None
        if kind == "content_block_delta":
            self._read_delta(index, _object(event.get("delta")), pieces)
        elif kind == "content_block_start":
            self._begin(index, _object(event.get("content_block")), pieces)
        elif kind == "content_block_stop":
            if block := self._blocks.at(index):
                block.is_whole = True
        elif kind == "message_start":
            self._usage.note_start(_object(event.get("message")).get("usage"))
        elif kind == "message_delta":
            self._usage.note(event.get("usage"))
            self._note_end(_object(event.get("delta")))
        elif kind == "message_stop":
            self.done = True
        elif kind == "message":
            self._read_message(event, pieces)
        elif (kind == "error" or event.get("error")) and not self.finished:
            self.fail(interruption(self._name, event.get("error") or event))

    def _read_message(self, message: Json, pieces: list[bytes]) -> None:
        """Read an answer that is not a stream."""
        content = message.get("content")
        for index, start in enumerate(content if isinstance(content, list) else [{"type": "text", "text": content}]):
            self._begin(index, _object(start), pieces).is_whole = True
        self._usage.note(message.get("usage"))
        self._note_end(message)

    def _note_end(self, fields: Json) -> None:
        reason = fields.get("stop_reason")
        details = _object(fields.get("stop_details"))
        self._reason = self._reason or (reason if isinstance(reason, str) else "")
        self._explanation = self._explanation or str(details.get("explanation") or details.get("category") or "")

    def _begin(self, index: Any, start: Json, pieces: list[bytes]) -> Block:
        block = self._blocks.begin(index, start)
        self.begun = True
        self._note_unseen(json.dumps(start))
        self._blocks.think(block, start.get("thinking"))
        if block.kind == "text":
            self._index, self._pieces = index, block.pieces
            self._add_text(block, start.get("text"), pieces)
        return block

    def _read_delta(self, index: Any, delta: Json, pieces: list[bytes]) -> None:
        for name, kind in KIND_OF_FIELD.items():
            added = delta.get(name)
            if added is None:
                continue
            block = self._blocks.at(index) or self._begin(index, {"type": kind}, pieces)
            if block.kind == name == "text":
                self._add_text(block, added, pieces)
            else:
                text = added if isinstance(added, str) else json.dumps(added)
                self._note_unseen(text)
                block.added.setdefault(name, []).append(text)
                if name == "thinking":
                    self._blocks.think(block, text)

    def _add_text(self, block: Block, text: Any, pieces: list[bytes]) -> None:
        literal = json.dumps(text).encode() if isinstance(text, str) else b'""'
        if piece := self._whole_piece(literal):
            block.pieces.append(piece)
            pieces.append(piece)

    def _note_unseen(self, text: str) -> None:
        self._unseen += len(text)
        if self._unseen > MAX_UNSEEN_CHARACTERS:
            raise ValueError(f"thinking and calls of more than {MAX_UNSEEN_CHARACTERS} characters")


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


_decode_lines = msgspec.json.Decoder(_Event).decode_lines
