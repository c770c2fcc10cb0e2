"""The reader of an OpenAI-compatible stream. It passes text on as bytes, and joins the pieces of tool calls.

https://platform.openai.com/docs/api-reference/chat-streaming/streaming
"""

# Ordinary chunks of text are decoded many at a time into small structs. Everything else, from a tool call to a chunk
# that no specification describes, is rare, and is read as plain JSON by `lenient_chunks`.

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from chat.engine.model_port import CompletionEvent, Finished, ProviderError, Text
from chat.engine.text import whole_text
from chat.engine.transcript import decode_pieces
from chat.providers.openai.calls import Calls
from chat.providers.openai.errors import interruption, read_body
from chat.providers.openai.finish_reasons import finish_reason
from chat.providers.openai.lenient_chunks import Delta, LenientChunk, is_value, read_chunk, read_content, read_values
from chat.providers.openai.own_fields import OwnFields
from chat.providers.openai.thinking import ThinkingBlock
from chat.providers.openai.usage import UsageReport
from chat.wire.sse import END_OF_FRAME, Splitter, datas

MAX_DOCUMENT_BYTES: Final = 8 * 2**20
"""Bytes of an answer that is one JSON document, or of a page instead of an answer."""

MAX_UNSEEN_CHARACTERS: Final = 8 * 2**20
"""Characters of reasoning and of calls in one answer. Text has the limits of the run."""

QUOTE: Final = ord('"')
EMPTY: Final = len('""')
DONE: Final = b"data: [DONE]\n\n"
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
NOTHING: Final = msgspec.Raw()

Form = Literal["unknown", "events", "document"]


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


class Reader:
    """One answer while its bytes arrive, from the service `name` and for `model`.

    `names` has the registry's name of each tool by its wire name. `begun` says that something of the answer arrived,
    `finished` that it has a finish reason: nothing that follows can fail it. After `done`, nothing more is read.
    """

    def __init__(self, name: str, model: str, names: Mapping[str, str]) -> None:
        self.begun = False
        self.done = False
        self._name = name
        self._model = model
        self._form: Form = "unknown"
        self._document = b""
        self._splitter = Splitter()
        self._calls = Calls(names)
        self._usage = UsageReport()
        self._reason = ""
        self._half = ""
        self._thinking: ThinkingBlock | None = ThinkingBlock()
        self._own = OwnFields()
        self._failure: ProviderError | None = None
        self._said = False
        self._unseen = 0

    @property
    def finished(self) -> bool:
        return bool(self._reason)

    def take(self, segment: bytes) -> tuple[bytes, ...]:
        """Return the text pieces of the events that this segment completes. A failure is raised by `rest`."""
        if self._form != "events":
            segment = self._look_at_head(segment)
            if not segment:
                return ()
        pieces: list[bytes] = []
        try:
            events = self._splitter.whole(segment)
            if events.endswith(DONE) or not self._read_ordinary(events, pieces):
                self._read(events, pieces)
            # Some services end an event with one line break, which shows once the next one begins.
            while self._splitter.waiting and not self.done:
                line = self._splitter.first_line()
                if not line or not is_value(line[len(b"data:") :].strip()):
                    break
                self._splitter.drop_line()
                self._read(line + END_OF_FRAME, pieces)
        # The errors of msgspec and of Unicode are ValueErrors too.
        except (ValueError, RecursionError) as error:
            self.fail(_not_a_chunk(error))
        if pieces and not self._said:
            self.begun = self._said = True
        return tuple(pieces)

    def fail(self, error: ProviderError) -> None:
        """Stop reading. The answer has failed, unless it has finished already."""
        self._failure = self._failure or error
        self.done = True

    def rest(self) -> Iterator[CompletionEvent]:
        """Yield the remaining events, once the stream has ended. Raise `ProviderError` if the answer failed."""
        if pieces := self._last_pieces():
            yield Text(tuple(pieces))
        reason = finish_reason(self._reason)
        if not self.finished:
            if self._failure is not None:
                raise self._failure
            if not self.done:
                raise ProviderError("The answer was cut off.", code="provider_protocol", retryable=True)
            if not self.begun and not self._calls:
                raise ProviderError("The answer was empty.", code="provider_protocol", retryable=True)
            reason = "stop"
        calls = self._calls.whole()
        yield from calls
        if used := self._usage.tokens():
            yield used
        if reason is None:
            message = f"{self._name} ended the answer with the finish reason {whole_text(self._reason)[:80]!r}."
            raise self._failure or ProviderError(message, code="provider_unavailable", retryable=True)
        # If the model has stopped by itself, its calls show whether it waits for results.
        if reason in {"stop", "tool_calls"}:
            reason = "tool_calls" if calls else "stop"
        yield Finished(reason=reason, provider_parts=self._own.parts(self._model, self._calls.extras))

    def _look_at_head(self, segment: bytes) -> bytes:
        """Return the bytes of events, once it is clear that the answer is a stream of events."""
        self._document += segment
        head = self._document.removeprefix(BYTE_ORDER_MARK).lstrip()
        if self._form == "unknown" and head and not BYTE_ORDER_MARK.startswith(self._document):
            # A line of an event stream begins with the name of a field or a colon.
            self._form = "document" if head.startswith((b"{", b"[", b"<")) else "events"
        if self._form == "events":
            self._document = b""
            return head
        if len(self._document) > MAX_DOCUMENT_BYTES:
            self.fail(_not_a_chunk(ValueError(f"an answer is longer than {MAX_DOCUMENT_BYTES} bytes")))
        return b""

    def _read(self, events: bytes, pieces: list[bytes]) -> None:
        """Read whole events up to the first fault, which is raised as `ValueError` or `ProviderError`."""
        if events.endswith(DONE) and self._read_ordinary(events[: -len(DONE)], pieces):
            self.done = True
        elif not self._read_ordinary(events, pieces):
            for block in events.split(END_OF_FRAME):
                # Most events of a segment are ordinary, even if one of them is not.
                found = datas(block) if b"error:" not in block else []
                if not found or not self._read_ordinary(b"data: %b\n\n" % found[0], pieces):
                    self._read_block(block, pieces)
                if self.done:
                    break

    def _read_ordinary(self, events: bytes, pieces: list[bytes]) -> bool:
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

    def _read_block(self, block: bytes, pieces: list[bytes]) -> None:
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
        self._unseen += delta.unseen
        if self._unseen > MAX_UNSEEN_CHARACTERS:
            raise ValueError(f"reasoning and calls of more than {MAX_UNSEEN_CHARACTERS} characters")
        for text in delta.texts:
            self._add(msgspec.Raw(json.dumps(text).encode()), pieces)
        self._own.thoughts += delta.reasoning
        for name, field in delta.fields.items():
            self._own.add(name, field)
        if not (delta.whole and self._calls):
            for piece in delta.calls:
                self._calls.add(piece)
        self.begun = self.begun or bool(delta.reasoning or delta.fields or delta.calls)

    def _add(self, raw: msgspec.Raw, pieces: list[bytes]) -> None:
        literal = bytes(raw)
        if len(literal) > EMPTY and literal[0] == QUOTE:
            if not self._half and b"\\u" not in literal:
                piece = literal[1:-1]
            else:
                # Two deltas may share a surrogate pair. The first half waits for the second one.
                text = self._half + json.loads(literal)
                self._half = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
                piece = _literal(text.removesuffix(self._half))
            if self._thinking is not None:
                self.begun = True
                piece = self._thinking.take(piece)
                if self._thinking.size > MAX_UNSEEN_CHARACTERS:
                    raise ValueError(f"reasoning of more than {MAX_UNSEEN_CHARACTERS} characters")
                if self._thinking.is_over:
                    self._end_thinking(self._thinking)
            if piece:
                pieces.append(piece)
        elif literal not in {b"", b"null", b'""'}:
            self._read_delta(read_content(json.loads(literal)), pieces)

    def _end_thinking(self, thinking: ThinkingBlock) -> None:
        if thinking.reasoning:
            self._own.thoughts.append(decode_pieces(thinking.reasoning))
        self._thinking = None

    def _last_pieces(self) -> list[bytes]:
        """Return the text of the last event and the text that was held back."""
        pieces: list[bytes] = []
        try:
            if self._form != "events":
                self._read_document(pieces)
            elif not self.done:
                for block in self._splitter.rest().split(END_OF_FRAME):
                    self._read_block(block, pieces)
        except (ValueError, RecursionError) as error:
            self.fail(_not_a_chunk(error))
        if self._half:
            half, self._half = self._half, ""
            pieces.append(_literal(half))
        if thinking := self._thinking:
            if held := thinking.end():
                pieces.insert(0, held)
            self._end_thinking(thinking)
        self.begun = self.begun or bool(pieces)
        return pieces

    def _read_document(self, pieces: list[bytes]) -> None:
        """Read a body that is not a stream: a whole answer, an error, or a page that is neither."""
        text = self._document.removeprefix(BYTE_ORDER_MARK).decode("utf-8", "replace").strip()
        if self._failure is not None or not text:
            return
        if text.startswith("<"):
            message = f"{self._name} sent {read_body(text).message} instead of an answer."
            self.fail(ProviderError(message, code="provider_protocol", retryable=True))
            return
        self._read_block(b"data: " + text.replace("\n", "\ndata: ").encode(), pieces)
        self.done = True


def _literal(text: str) -> bytes:
    """Return the text as a JSON string literal without its quotes."""
    return _encode(whole_text(text))[1:-1]


def _not_a_chunk(error: ValueError | RecursionError) -> ProviderError:
    return ProviderError(f"The service sent an invalid chunk: {error}.", code="provider_protocol", retryable=True)


_decode_lines = msgspec.json.Decoder(_Chunk).decode_lines
_encode = msgspec.json.Encoder().encode
