"""Reading the chunks of an OpenAI-compatible stream: text passed on as it came, tool calls put together of pieces.

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
"""Tool calls of one answer; a service that opens more is broken."""

QUOTE: Final = ord('"')
EMPTY: Final = len('""')
DONE: Final = b"data: [DONE]\n\n"
NO_TEXT: Final = msgspec.Raw()


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class _CallDelta(msgspec.Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct, gc=False):
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
    """The service told of a failure in the middle of its stream; `error` is what it sent."""

    def __init__(self, error: Any) -> None:
        super().__init__(error)
        self.error = error


class Reader:
    """One answer while its bytes arrive. `names` are the tools' wire names, each with the registry's own.

    Methods raise `ProviderError` for what is not a stream of chunks, and `Broken`.
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
        """The text pieces of the events that this segment completes."""
        try:
            return self._pieces(self._chunks(self._splitter.whole(segment)))
        except ValueError as error:  # msgspec's and Unicode's errors are ValueErrors too
            raise _not_a_chunk(error) from error

    def rest(self) -> list[CompletionEvent]:
        """What is known once the stream has ended."""
        try:
            pieces = () if self.done else self._pieces(self._decode_each(self._splitter.end()))
        except ValueError as error:
            raise _not_a_chunk(error) from error
        if self._reason is None and not self.done:
            raise ProviderError("The answer was cut off.", code="provider_protocol", retryable=True)
        if self._half:
            pieces = (*pieces, _literal(self._half))
        return [*([Text(pieces)] if pieces else []), *self._closing()]

    def _closing(self) -> list[CompletionEvent]:
        events: list[CompletionEvent] = [call.whole(index, self._names) for index, call in sorted(self._calls.items())]
        if self._usage is not None:
            events.append(_tokens(self._usage))
        reason = REASONS.get(self._reason or "", "tool_calls" if self._calls else "stop")
        return [*events, Finished(reason=reason)]

    def _chunks(self, events: bytes) -> list[_Chunk]:
        if events.endswith(DONE):
            self.done = True
            events = events[: len(events) - len(DONE)]
        if not events.isascii():
            events.decode()  # a JSON string is passed on as it is: it must be UTF-8
        quick = _decode_at_once(events)
        return self._decode_each(datas(events)) if quick is None else quick

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
                self._choose(chunk.choices[0], pieces)
            if chunk.usage is not None:
                self._usage = chunk.usage
            if chunk.error is not None:
                raise Broken(chunk.error)
        return tuple(pieces)

    def _choose(self, choice: _Choice, pieces: list[bytes]) -> None:
        delta = choice.delta
        if delta is not None:
            self._add(delta.content, pieces)
            if delta.refusal is not NO_TEXT:
                self._add(delta.refusal, pieces)
            if delta.tool_calls:
                for call in delta.tool_calls:
                    self._call(call)
        if choice.finish_reason is not None:
            self._reason = choice.finish_reason

    def _add(self, raw: msgspec.Raw, pieces: list[bytes]) -> None:
        literal = bytes(raw)
        if len(literal) > EMPTY and literal[0] == QUOTE:
            if self._half or b"\\u" in literal:
                self._add_escaped(literal, pieces)
            else:
                pieces.append(literal[1:-1])
        elif literal not in {b"", b"null", b'""'}:
            raise ValueError("a piece of text is not a string")

    def _add_escaped(self, literal: bytes, pieces: list[bytes]) -> None:
        """Joins the halves of a surrogate pair that two deltas share; a half that stays alone becomes U+FFFD."""
        text = self._half + json.loads(literal)
        self._half = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
        if whole := text.removesuffix(self._half):
            pieces.append(_literal(whole))

    def _call(self, delta: _CallDelta) -> None:
        index = len(self._calls) if delta.index is None else delta.index
        call = self._calls.setdefault(index, _Call())
        if len(self._calls) > MAX_CALLS:
            raise ValueError(f"more than {MAX_CALLS} tool calls")
        call.id = call.id or delta.id or ""
        if delta.function is not None:
            call.name = call.name or delta.function.name or ""
            call.arguments.append(delta.function.arguments or "")


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


def _decode_at_once(events: bytes) -> list[_Chunk] | None:
    """The chunks of events that are one line of data each; None where there is anything else among them."""
    if not events.startswith(b"data: {"):
        return None
    try:
        return _decode_lines(events[len(b"data: ") : -len(b"\n\n")].replace(b"\n\ndata: ", b"\n"))
    except msgspec.DecodeError:
        return None


def _chunk(data: bytes) -> _Chunk:
    try:
        return _decode(data)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        if b"\\u" not in data:
            raise
        return _chunk_with_halves(json.loads(data))


def _chunk_with_halves(chunk: Any) -> _Chunk:
    """A chunk in whose text a surrogate pair is cut in two, which the fast decoder takes for broken JSON."""
    deltas = [choice.delta for choice in msgspec.convert(chunk, _HalvesChunk).choices]
    for choice, texts in zip(chunk["choices"], deltas, strict=True):
        for name in ("content", "refusal"):
            if text := getattr(texts, name, None):
                choice["delta"][name] = msgspec.Raw(json.dumps(text).encode())
    return msgspec.convert(chunk, _Chunk)


def _literal(text: str) -> bytes:
    """The inside of the text's JSON string literal."""
    return _encode(_whole(text))[1:-1]


def _whole(text: str) -> str:
    """The text with every surrogate pair joined, and lone halves replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _tokens(usage: _Usage) -> TokensUsed:
    cached = usage.prompt_tokens_details and usage.prompt_tokens_details.cached_tokens
    reasoning = usage.completion_tokens_details and usage.completion_tokens_details.reasoning_tokens
    return TokensUsed(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        cached_tokens=cached or 0,
        reasoning_tokens=reasoning or 0,
    )


def _not_a_chunk(error: ValueError) -> ProviderError:
    return ProviderError(f"The service sent what is not a chunk: {error}.", code="provider_protocol", retryable=True)


_decode = msgspec.json.Decoder(_Chunk).decode
_decode_lines = msgspec.json.Decoder(_Chunk).decode_lines
_encode = msgspec.json.Encoder().encode
