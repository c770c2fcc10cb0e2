"""The reader of an OpenAI-compatible stream. It passes text on as bytes, and joins the pieces of tool calls.

https://platform.openai.com/docs/api-reference/chat-streaming/streaming
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from chat.engine.messages import ToolCall
from chat.engine.model_port import CompletionEvent, Finished, ProviderError, Text, TokensUsed
from chat.wire.sse import Splitter, datas

Reason = Literal["stop", "tool_calls", "length", "content_filter"]

REASONS: Final[Mapping[str, Reason]] = {"length": "length", "content_filter": "content_filter"}
MAX_CALLS: Final = 128
"""Tool calls of one answer. A service that sends more is broken."""

QUOTE: Final = ord('"')
EMPTY: Final = len('""')
DONE: Final = b"data: [DONE]\n\n"
NO_TEXT: Final = msgspec.Raw()


# These structs refer to nothing that refers back to them, so the garbage collector need not track them: there is one
# for every token.


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class _CallDelta(msgspec.Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct, gc=False):
    # Raw JSON: the literal goes into an event's bytes without being decoded and encoded again.
    content: msgspec.Raw = NO_TEXT
    refusal: msgspec.Raw = NO_TEXT
    tool_calls: list[_CallDelta] | None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: int | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Any = None


class _Texts(msgspec.Struct, gc=False):
    content: str | None = None
    refusal: str | None = None


class _TextsChoice(msgspec.Struct, gc=False):
    delta: _Texts | None = None


class _HalvesChunk(msgspec.Struct, gc=False):
    choices: list[_TextsChoice]


class Broken(Exception):
    """The service reported a failure within its stream. `error` is the object it sent."""

    def __init__(self, error: Any) -> None:
        super().__init__(error)
        self.error = error


class Reader:
    """One answer while its bytes arrive. `names` has the registry's name of each tool by its wire name.

    Methods raise `Broken`, and `ProviderError` if the bytes are not a stream of chunks.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self.done = False
        self._names = names
        self._splitter = Splitter()
        self._calls: dict[int, _Call] = {}
        self._usage: _Usage | None = None
        self._reason: str | None = None
        self._half = ""

    def take(self, segment: bytes) -> tuple[bytes, ...]:
        """Return the text pieces of the events that this segment completes."""
        try:
            return self._pieces(self._chunks(self._splitter.whole(segment)))
        # The errors of msgspec and of Unicode are ValueErrors too.
        except ValueError as error:
            raise _not_a_chunk(error) from error

    def rest(self) -> list[CompletionEvent]:
        """Return the remaining events, once the stream has ended."""
        try:
            pieces = () if self.done else self._pieces(self._decode_each(self._splitter.end()))
        except ValueError as error:
            raise _not_a_chunk(error) from error
        if self._reason is None and not self.done:
            raise ProviderError("The answer was cut off.", code="provider_protocol", retryable=True)
        if self._half:
            pieces = (*pieces, _literal(self._half))
        events: list[CompletionEvent] = [Text(pieces)] if pieces else []
        events += [call.whole(index, self._names) for index, call in sorted(self._calls.items())]
        if usage := self._usage:
            cached = usage.prompt_tokens_details and usage.prompt_tokens_details.cached_tokens
            reasoning = usage.completion_tokens_details and usage.completion_tokens_details.reasoning_tokens
            events.append(
                TokensUsed(
                    input_tokens=usage.prompt_tokens,
                    output_tokens=usage.completion_tokens,
                    cached_tokens=cached or 0,
                    reasoning_tokens=reasoning or 0,
                )
            )
        # With any other reason the model has stopped by itself, and its calls show whether it waits for results.
        reason = REASONS.get(self._reason or "", "tool_calls" if self._calls else "stop")
        return [*events, Finished(reason=reason)]

    def _chunks(self, events: bytes) -> list[_Chunk]:
        if events.endswith(DONE):
            self.done = True
            events = events[: len(events) - len(DONE)]
        if not events.isascii():
            # The strings are passed on undecoded, so invalid UTF-8 must fail here.
            events.decode()
        # Usually each event is one line of data, and all of them can be decoded in one call.
        if events.startswith(b"data: {"):
            try:
                return _decode_lines(events[len(b"data: ") : -len(b"\n\n")].replace(b"\n\ndata: ", b"\n"))
            except msgspec.DecodeError:
                pass
        return self._decode_each(datas(events))

    def _decode_each(self, found: Sequence[bytes]) -> list[_Chunk]:
        chunks = []
        for data in found:
            if data == b"[DONE]":
                self.done = True
                break
            chunks.append(_chunk(data))
        return chunks

    def _pieces(self, chunks: Sequence[_Chunk]) -> tuple[bytes, ...]:
        pieces: list[bytes] = []
        for chunk in chunks:
            if chunk.choices:
                choice = chunk.choices[0]
                if choice.delta is not None:
                    self._add_delta(choice.delta, pieces)
                if choice.finish_reason is not None:
                    self._reason = choice.finish_reason
            if chunk.usage is not None:
                self._usage = chunk.usage
            if chunk.error is not None:
                raise Broken(chunk.error)
        return tuple(pieces)

    def _add_delta(self, delta: _Delta, pieces: list[bytes]) -> None:
        self._add(delta.content, pieces)
        if delta.refusal is not NO_TEXT:
            self._add(delta.refusal, pieces)
        for part in delta.tool_calls or ():
            index = len(self._calls) if part.index is None else part.index
            call = self._calls.setdefault(index, _Call())
            if len(self._calls) > MAX_CALLS:
                raise ValueError(f"more than {MAX_CALLS} tool calls")
            call.id = call.id or part.id or ""
            if part.function is not None:
                call.name = call.name or part.function.name or ""
                call.arguments.append(part.function.arguments or "")

    def _add(self, raw: msgspec.Raw, pieces: list[bytes]) -> None:
        literal = bytes(raw)
        if len(literal) > EMPTY and literal[0] == QUOTE:
            if not self._half and b"\\u" not in literal:
                pieces.append(literal[1:-1])
                return
            # Two deltas may share a surrogate pair. The first half waits for the second one.
            text = self._half + json.loads(literal)
            self._half = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
            if whole := text.removesuffix(self._half):
                pieces.append(_literal(whole))
        elif literal not in {b"", b"null", b'""'}:
            raise ValueError("a piece of text is not a string")


class _Call:
    """A tool call while its pieces arrive."""

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []

    def whole(self, index: int, names: Mapping[str, str]) -> ToolCall:
        return ToolCall(
            call_id=_whole(self.id) or f"call_{index}",
            name=names.get(self.name, _whole(self.name)),
            arguments=_whole("".join(self.arguments)) or "{}",
        )


def _chunk(data: bytes) -> _Chunk:
    try:
        return _decode(data)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        if b"\\u" not in data:
            raise
    # The text has half of a surrogate pair, which msgspec rejects and the standard decoder accepts.
    chunk: Any = json.loads(data)
    deltas = [choice.delta for choice in msgspec.convert(chunk, _HalvesChunk).choices]
    for choice, texts in zip(chunk["choices"], deltas, strict=True):
        for name in ("content", "refusal"):
            if text := getattr(texts, name, None):
                choice["delta"][name] = msgspec.Raw(json.dumps(text).encode())
    return msgspec.convert(chunk, _Chunk)


def _literal(text: str) -> bytes:
    """Return the text as a JSON string literal without its quotes."""
    return _encode(_whole(text))[1:-1]


def _whole(text: str) -> str:
    """Return the text with surrogate pairs joined, and lone halves replaced by U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _not_a_chunk(error: ValueError) -> ProviderError:
    return ProviderError(f"The service sent an invalid chunk: {error}.", code="provider_protocol", retryable=True)


_decode = msgspec.json.Decoder(_Chunk).decode
_decode_lines = msgspec.json.Decoder(_Chunk).decode_lines
_encode = msgspec.json.Encoder().encode
