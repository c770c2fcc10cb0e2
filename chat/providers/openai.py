"""OpenAI's chat completions, and every service that speaks them.

https://platform.openai.com/docs/api-reference/chat-streaming

The stream is read as bytes: a text delta's JSON string is passed on as it came, for building the SDK's model of each
chunk costs more than ten times as much as all the rest. The SDK lists the models.
"""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import aiohttp
import msgspec
import openai

from chat.engine.completion import (
    CompletionEvent,
    CompletionRequest,
    Finished,
    ProviderError,
    Text,
    TokensUsed,
)
from chat.engine.messages import AssistantMessage, Message, ToolCall, ToolMessage, UserMessage
from chat.providers.base import Provider, Silence, Timeouts, wire_name, wire_names
from chat.wire.sse import Splitter

OPENAI_HOST: Final = "api.openai.com"
CONTEXT_TOKENS: Final = 128_000
"""What the smallest of OpenAI's current models take; others say so themselves when it is too much."""

MOST_ERROR_BYTES: Final = 16 * 1_024
MOST_ERROR_CHARACTERS: Final = 500
READ_BYTES: Final = 256 * 1_024
"""What aiohttp buffers of one answer before it stops reading the socket."""

FINISH_REASONS: Final = {"length": "length", "content_filter": "content_filter", "tool_calls": "tool_calls"}


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _CallDelta(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: msgspec.Raw = msgspec.Raw()
    refusal: msgspec.Raw = msgspec.Raw()
    tool_calls: list[_CallDelta] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Chunk).decode
_encode = msgspec.json.Encoder().encode


class OpenAI(Provider):
    """A service at `base_url` (with its `/v1`)."""

    name: ClassVar[str] = "openai"
    supports_tools: ClassVar[bool] = True
    supports_images: ClassVar[bool] = True

    def __init__(self, *, api_key: str, base_url: str, default_model: str, timeouts: Timeouts) -> None:
        self.default_model = default_model
        self._api_key = api_key
        self._base_url = base_url
        self._timeouts = timeouts
        self._is_openai = urlsplit(base_url).hostname == OPENAI_HOST
        self._session: aiohttp.ClientSession | None = None

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[CompletionEvent]:
        response = await self._post(request)
        silence = Silence(self._timeouts.idle, response.close)
        try:
            if response.status != 200:
                raise await self._refusal(response)
            reading = _Reading(wire_names(request.tools))
            while segment := await response.content.readany():
                silence.heard()
                if pieces := reading.take(segment):
                    yield Text(pieces)
                if reading.done:
                    break
            for event in reading.rest():
                yield event
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._broken(error, silenced=silence.over) from error
        finally:
            silence.stop()
            response.close()

    def context_tokens(self, model: str) -> int:
        return CONTEXT_TOKENS

    async def models(self) -> tuple[str, ...]:
        client = openai.AsyncOpenAI(
            api_key=self._api_key or "none", base_url=self._base_url, timeout=self._timeouts.connect, max_retries=0
        )
        try:
            async with client:
                found = [model.id async for model in client.models.list()]
        except openai.OpenAIError as error:
            raise ProviderError(self._clean(str(error)), code="provider_unavailable", retryable=True) from error
        return (self.default_model, *sorted(set(found) - {self.default_model}))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _post(self, request: CompletionRequest) -> aiohttp.ClientResponse:
        body = _encode(self._body(request))
        try:
            async with asyncio.timeout(self._timeouts.first_byte):
                return await self._client().post(f"{self._base_url}/chat/completions", data=body)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._broken(error, silenced=isinstance(error, TimeoutError)) from error

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
            if self._api_key:
                headers["Authorization"] = f"Bearer {self._api_key}"
            self._session = aiohttp.ClientSession(
                headers=headers,
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._timeouts.connect),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=True,
                read_bufsize=READ_BYTES,
            )
        return self._session

    def _body(self, request: CompletionRequest) -> dict[str, Any]:
        body: dict[str, Any] = {"model": request.model, "stream": True, "messages": _messages(request)}
        body["stream_options"] = {"include_usage": True}
        if self._is_openai:
            body["stream_options"]["include_obfuscation"] = False
        if request.tools:
            body["tools"] = [
                {
                    "type": "function",
                    "function": {
                        "name": wire_name(tool.name),
                        "description": tool.description,
                        "parameters": tool.parameters,
                    },
                }
                for tool in request.tools
            ]
        if request.max_output_tokens is not None:
            # Other services know the older name; OpenAI's reasoning models refuse it.
            body["max_completion_tokens" if self._is_openai else "max_tokens"] = request.max_output_tokens
        if request.temperature is not None:
            body["temperature"] = request.temperature
        return body

    async def _refusal(self, response: aiohttp.ClientResponse) -> ProviderError:
        text = (await response.content.read(MOST_ERROR_BYTES)).decode("utf-8", "replace")
        code, message = _error_of(text)
        message = self._clean(f"{self.name} answered {response.status}: {message}")
        retry_after = _seconds(response.headers.get("Retry-After"))
        return refusal(response.status, code, message, retry_after)

    def _broken(self, error: Exception, *, silenced: bool) -> ProviderError:
        if silenced or isinstance(error, TimeoutError):
            return ProviderError(f"{self.name} did not answer in time.", code="provider_timeout", retryable=True)
        message = self._clean(f"{self.name} cannot be reached, or broke off: {error}")
        return ProviderError(message, code="provider_unavailable", retryable=True)

    def _clean(self, message: str) -> str:
        hidden = message.replace(self._api_key, "***") if self._api_key else message
        return hidden[:MOST_ERROR_CHARACTERS]


def refusal(status: int, code: str, message: str, retry_after: float | None) -> ProviderError:
    """What a status (and the service's own error code) means to a run."""
    if status == 429:
        retryable = code != "insufficient_quota"
        return ProviderError(message, code="provider_rate_limited", retryable=retryable, retry_after=retry_after)
    if status in {401, 403}:
        return ProviderError(message, code="provider_auth", retryable=False)
    if code == "context_length_exceeded":
        return ProviderError(message, code="context_too_long", retryable=False)
    if status >= 500 or status == 408:
        return ProviderError(message, code="provider_unavailable", retryable=True, retry_after=retry_after)
    return ProviderError(message, code="provider_rejected", retryable=False)


class _Reading:
    """One answer's state while its bytes arrive."""

    def __init__(self, names: dict[str, str]) -> None:
        self.done = False
        self._names = names
        self._splitter = Splitter()
        self._calls: dict[int, _Call] = {}
        self._usage: _Usage | None = None
        self._reason: str | None = None
        self._half = ""

    def take(self, segment: bytes) -> tuple[bytes, ...]:
        """The text pieces of the events that this segment completes. Raises `ProviderError`."""
        try:
            return self._read(self._splitter.feed(segment))
        except ValueError as error:  # msgspec's and Unicode's errors are ValueErrors too
            raise ProviderError(
                f"The service sent what is not a chunk: {error}", code="provider_protocol", retryable=True
            ) from error

    def rest(self) -> list[CompletionEvent]:
        """What is known once the stream has ended. Raises `ProviderError` where it was cut."""
        if not self.done and (pieces := self._read(self._splitter.end())):
            return [Text(pieces), *self._closing()]
        return self._closing()

    def _closing(self) -> list[CompletionEvent]:
        if self._reason is None and not self.done:
            raise ProviderError("The answer was cut off.", code="provider_protocol", retryable=True)
        events: list[CompletionEvent] = [Text((_escaped("\ufffd"),))] if self._half else []
        events += [call.whole(index, self._names) for index, call in sorted(self._calls.items())]
        if self._usage is not None:
            events.append(_tokens(self._usage))
        reason = FINISH_REASONS.get(self._reason or "", "tool_calls" if self._calls else "stop")
        return [*events, msgspec.convert({"reason": reason}, Finished)]

    def _read(self, datas: Sequence[bytes]) -> tuple[bytes, ...]:
        pieces: list[bytes] = []
        for data in datas:
            if not data.isascii():
                data.decode()
            if data == b"[DONE]":
                self.done = True
                break
            chunk = _decode(data)
            if chunk.choices:
                self._choose(chunk.choices[0], pieces)
            if chunk.usage is not None:
                self._usage = chunk.usage
            if chunk.error is not None:
                raise _said(chunk.error)
        return tuple(pieces)

    def _choose(self, choice: _Choice, pieces: list[bytes]) -> None:
        delta = choice.delta
        if delta is not None:
            for raw in (delta.content, delta.refusal):
                literal = bytes(raw)
                if len(literal) > 2 and literal != b"null":
                    self._add(literal, pieces)
            for call in delta.tool_calls or ():
                self._call(call)
        if choice.finish_reason is not None:
            self._reason = choice.finish_reason

    def _add(self, literal: bytes, pieces: list[bytes]) -> None:
        if self._half or b"\\u" in literal:
            self._add_escaped(literal, pieces)
        elif literal[0] == 34:
            pieces.append(literal[1:-1])
        else:
            raise ValueError("a text delta is not a string")

    def _add_escaped(self, literal: bytes, pieces: list[bytes]) -> None:
        """Joins the halves of a surrogate pair that two deltas share; a half that stays alone becomes U+FFFD."""
        text = self._half + json.loads(literal)
        self._half = text[-1] if "\ud800" <= text[-1] <= "\udbff" else ""
        whole = text[:-1] if self._half else text
        if whole:
            pieces.append(_escaped(whole))

    def _call(self, delta: _CallDelta) -> None:
        index = len(self._calls) if delta.index is None else delta.index
        call = self._calls.setdefault(index, _Call())
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

    def whole(self, index: int, names: dict[str, str]) -> ToolCall:
        return ToolCall(
            call_id=self.id or f"call_{index}",
            name=names.get(self.name, self.name),
            arguments="".join(self.arguments) or "{}",
        )


def _escaped(text: str) -> bytes:
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return _encode(whole)[1:-1]


def _tokens(usage: _Usage) -> TokensUsed:
    cached = usage.prompt_tokens_details and usage.prompt_tokens_details.cached_tokens
    reasoning = usage.completion_tokens_details and usage.completion_tokens_details.reasoning_tokens
    return TokensUsed(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        cached_tokens=cached or 0,
        reasoning_tokens=reasoning or 0,
    )


def _said(error: Any) -> ProviderError:
    code, message = _error_of(json.dumps({"error": error}))
    status = error.get("code") if isinstance(error, dict) else None
    return refusal(status if isinstance(status, int) else 500, code, f"The service broke off: {message}", None)


def _error_of(text: str) -> tuple[str, str]:
    """The code and the message of an error's body, whatever its shape."""
    try:
        error = json.loads(text)["error"]
    except (ValueError, KeyError, TypeError):
        return "", text
    if not isinstance(error, dict):
        return "", str(error)
    return str(error.get("code") or error.get("type") or ""), str(error.get("message") or error)


def _seconds(retry_after: str | None) -> float | None:
    try:
        return max(0.0, float(retry_after)) if retry_after else None
    except ValueError:
        return None


def _messages(request: CompletionRequest) -> list[dict[str, Any]]:
    system = [{"role": "system", "content": request.instructions}] if request.instructions else []
    return system + [_message(message) for message in request.messages]


def _message(message: Message) -> dict[str, Any]:
    if isinstance(message, ToolMessage):
        return {"role": "tool", "tool_call_id": message.call_id, "content": message.content}
    if isinstance(message, AssistantMessage):
        return _assistant(message)
    return {"role": "user", "content": _user_content(message)}


def _assistant(message: AssistantMessage) -> dict[str, Any]:
    if not message.tool_calls:
        return {"role": "assistant", "content": message.text}
    calls = [
        {
            "id": call.call_id,
            "type": "function",
            "function": {"name": wire_name(call.name), "arguments": call.arguments},
        }
        for call in message.tool_calls
    ]
    return {"role": "assistant", "content": message.text or None, "tool_calls": calls}


def _user_content(message: UserMessage) -> Any:
    if not message.images:
        return message.text
    parts: list[dict[str, Any]] = [{"type": "text", "text": message.text}] if message.text else []
    for image in message.images:
        data = base64.b64encode(image.data).decode()
        parts.append({"type": "image_url", "image_url": {"url": f"data:{image.media_type};base64,{data}"}})
    return parts
