"""The reader of an OpenAI-compatible stream. It passes text on as bytes, and joins the pieces of tool calls.

https://platform.openai.com/docs/api-reference/chat-streaming/streaming
"""

# Ordinary chunks of text are decoded many at a time into small structs. Everything else, from a tool call to a chunk
# that no specification describes, is rare, and is read as plain JSON by `lenient_chunks`.

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from chat.engine.model_port import CompletionEvent, Finished, Text
from chat.providers.event_reader import MAX_UNSEEN_CHARACTERS, EventReader, read_values, unknown_end
from chat.providers.openai.calls import Calls
from chat.providers.openai.finish_reasons import finish_reason
from chat.providers.openai.lenient_chunks import (
    REASONING_FIELDS,
    Delta,
    LenientChunk,
    read_chunk,
    read_content,
    text_of,
)
from chat.providers.openai.own_fields import OwnFields
from chat.providers.openai.thinking import ThinkingBlock
from chat.providers.openai.usage import UsageReport
from chat.providers.refusals import interruption
from chat.wire.sse import END_OF_FRAME, datas

QUOTE: Final = ord('"')
EMPTY: Final = len('""')
DONE: Final = b"data: [DONE]\n\n"
NOTHING: Final = msgspec.Raw()

# These structs refer to nothing that refers back to them, so the garbage collector need not track them: there is one
# for every token. Fields that are None or empty here are read by `lenient_chunks` otherwise.


class _Delta(msgspec.Struct, gc=False):
    # Raw JSON: the literal goes into an event's bytes without being decoded and encoded again.
    content: msgspec.Raw = NOTHING
    refusal: msgspec.Raw = NOTHING
    tool_calls: tuple[()] | None = None
    function_call: None = None
    reasoning_content: Literal[""] | None = None
    reasoning: Literal[""] | None = None
    reasoning_details: tuple[()] | None = None
    reasoning_text: Literal[""] | None = None
    reasoning_opaque: None = None
    thinking_blocks: tuple[()] | None = None
    extra_content: None = None
    thought_signature: None = None


class _Choice(msgspec.Struct, gc=False, kw_only=True):
    # In the order in which services send them, in which they are decoded faster.
    index: Literal[0] = 0
    delta: _Delta
    finish_reason: str | None = None
    message: None = None
    usage: None = None
    error: None = None


class _Chunk(msgspec.Struct, gc=False, kw_only=True):
    choices: list[_Choice]
    # OpenAI sends null in all chunks but the last.
    usage: dict[str, Any] | None = None
    error: None = None


class Reader(EventReader):
    """One answer while its bytes arrive, from the service `name` and for `model`.

    `names` has the registry's name of each tool by its wire name.
    """

    def __init__(self, name: str, model: str, names: Mapping[str, str]) -> None:
        super().__init__(name)
        self._model = model
        self._calls = Calls(names)
        self._usage = UsageReport()
        self._reason = ""
        self._thinking: ThinkingBlock | None = ThinkingBlock()
        self._own = OwnFields()
        self._source = ""
        self._unseen = 0

    @property
    def finished(self) -> bool:
        return bool(self._reason)

    def rest(self) -> Iterator[CompletionEvent]:
        """Yield the remaining events, once the stream has ended. Raise `ProviderError` if the answer failed."""
        pieces = self._last_pieces()
        yield from self.reasoning.end()
        if pieces:
            yield Text(tuple(pieces))
        reason = finish_reason(self._reason)
        if not self.finished:
            self._check_end(empty=not self.begun and not self._calls)
            reason = "stop"
        calls = self._calls.whole()
        yield from calls
        if used := self._usage.tokens():
            yield used
        if reason is None:
            raise self._failure or unknown_end(self._name, self._reason)
        # If the model has stopped by itself, its calls show whether it waits for results.
        if reason in {"stop", "tool_calls"}:
            reason = "tool_calls" if calls else "stop"
        yield Finished(
            reason=reason, provider_parts=self._own.parts(self._model, self._calls.extras, self.reasoning.whole)
        )

    def _read(self, events: bytes, pieces: list[bytes]) -> None:
        if events.endswith(DONE) and self.read_ordinary(events[: -len(DONE)], pieces):
            self.done = True
        elif not self.read_ordinary(events, pieces):
            for block in events.split(END_OF_FRAME):
                # Most events of a segment are ordinary, even if one of them is not.
                found = datas(block) if b"error:" not in block else []
                if not found or not self.read_ordinary(b"data: %b\n\n" % found[0], pieces):
                    self.read_block(block, pieces)
                if self.done:
                    break

    def read_ordinary(self, events: bytes, pieces: list[bytes]) -> bool:
        """Read events if each is one line with an ordinary chunk, otherwise return False."""
        if not events.startswith(b"data: {"):
            return not events
        try:
            if not events.isascii():
                # The strings are passed on undecoded, so invalid UTF-8 must fail here.
                events.decode()
            chunks = _decode_lines(events[len(b"data: ") : -len(END_OF_FRAME)].replace(b"\n\ndata: ", b"\n"))
        except ValueError:
            return False
        for chunk in chunks:
            if chunk.choices:
                choice = chunk.choices[0]
                self._add(choice.delta.content, pieces)
                if choice.delta.refusal is not NOTHING:
                    self._add(choice.delta.refusal, pieces)
                if choice.finish_reason:
                    self._reason = self._reason or choice.finish_reason
            if chunk.usage:
                self._usage.note(chunk.usage)
        return True

    def read_block(self, block: bytes, pieces: list[bytes]) -> None:
        for value in read_values(block):
            if value == "[DONE]":
                self.done = True
            # Some services send an error as a list.
            for item in value if isinstance(value, list) else [value]:
                if not self.done and isinstance(item, dict):
                    self._read_chunk(read_chunk(item), pieces)

    def _read_chunk(self, chunk: LenientChunk, pieces: list[bytes]) -> None:
        for delta in chunk.deltas:
            self._read_delta(delta, pieces)
        for usage in chunk.usages:
            self._usage.note(usage)
        if chunk.error is None:
            self._reason = self._reason or chunk.finish
        elif not self.finished:
            self.fail(interruption(self._name, chunk.error))

    def _read_delta(self, delta: Delta, pieces: list[bytes]) -> None:
        if delta.whole and (self._said or pieces):
            delta.texts = []
        if delta.whole and self._own:
            delta.fields = {}
        if delta.whole and self._source:
            delta.reasoning = []
        self._unseen += delta.unseen
        if self._unseen > MAX_UNSEEN_CHARACTERS:
            raise ValueError(f"reasoning and calls of more than {MAX_UNSEEN_CHARACTERS} characters")
        for text in delta.texts:
            self._add(msgspec.Raw(json.dumps(text).encode()), pieces)
        self._think("content", "".join(delta.reasoning))
        for name, field in delta.fields.items():
            self._own.add(name, field)
            if name in REASONING_FIELDS:
                self._think(name, text_of(field))
        if not (delta.whole and self._calls):
            for piece in delta.calls:
                self._calls.add(piece)
        self.begun = self.begun or bool(delta.reasoning or delta.fields or delta.calls)

    def _think(self, source: str, text: str) -> None:
        """Add reasoning. The same may come in several fields, so only the first one that has any is read."""
        if text and self._source in {"", source}:
            self._source = source
            self.reasoning.add(text)

    def _add(self, raw: msgspec.Raw, pieces: list[bytes]) -> None:
        literal = bytes(raw)
        if len(literal) > EMPTY and literal[0] == QUOTE:
            piece = literal[1:-1] if not self._half and b"\\u" not in literal else self._whole_piece(literal)
            if self._thinking is not None:
                self.begun = True
                piece = self._thinking.take(piece)
                if self._thinking.size > MAX_UNSEEN_CHARACTERS:
                    raise ValueError(f"reasoning of more than {MAX_UNSEEN_CHARACTERS} characters")
                self._think("content", self._thinking.reasoning())
                if self._thinking.is_over:
                    self._thinking = None
            if piece:
                pieces.append(piece)
        elif literal not in {b"", b"null", b'""'}:
            self._read_delta(read_content(json.loads(literal)), pieces)

    def _last_pieces(self) -> list[bytes]:
        pieces = super()._last_pieces()
        if thinking := self._thinking:
            if held := thinking.end():
                pieces.insert(0, held)
            self._think("content", thinking.reasoning())
            self._thinking = None
        self.begun = self.begun or bool(pieces)
        return pieces


_decode_lines = msgspec.json.Decoder(_Chunk).decode_lines
