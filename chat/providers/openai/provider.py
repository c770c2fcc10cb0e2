"""The provider for OpenAI's chat completions API, and for every compatible service.

https://platform.openai.com/docs/api-reference/chat-streaming
"""

# The stream is read as bytes, and a text delta's JSON string is passed on unchanged. Building the SDK's model of each
# chunk would cost more than ten times as much as everything else. The SDK only lists the models.

import asyncio
import base64
import json
from collections.abc import AsyncGenerator
from contextlib import suppress
from functools import lru_cache
from http import HTTPStatus
from importlib import import_module
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import msgspec

from chat.engine.messages import AssistantMessage, Message, ToolMessage
from chat.engine.model_port import CompletionEvent, CompletionRequest, ProviderError, Text
from chat.providers.base import MAX_OFFERS, Provider, Silence, Timeouts, wire_name, wire_names
from chat.providers.openai.chunks import Broken, Reader
from chat.providers.streaming_http import Answer, BrokenConnection, Connections
from tools.base import ToolSpec

OPENAI_HOST: Final = "api.openai.com"
CONTEXT_TOKENS: Final = 128_000
"""The context of the smallest of OpenAI's current models. A service rejects requests that are too long for another."""

MAX_ERROR_BYTES: Final = 16 * 1_024
MAX_ERROR_CHARACTERS: Final = 500
USER_AGENT: Final = "orchestrator-service"

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
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream", "User-Agent": USER_AGENT}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        url = f"{base_url}/chat/completions"
        self._connections = Connections(url, headers, connect_seconds=timeouts.connect)

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[CompletionEvent]:
        # The body is not kept in a variable: with its schemas of all tools it would stay in this frame, 19 KB a stream.
        try:
            async with asyncio.timeout(self._timeouts.first_byte):
                response = await self._connections.post(_encode(self._body(request)))
        except (BrokenConnection, TimeoutError) as error:
            raise self._cut(error, silenced=isinstance(error, TimeoutError)) from error
        silence = Silence(self._timeouts.idle, response.abort)
        try:
            if response.status != HTTPStatus.OK:
                raise await self._refusal(response)
            reading = Reader(wire_names(request.tools))
            while segment := await response.read():
                silence.note()
                if pieces := reading.take(segment):
                    yield Text(pieces)
                if reading.done:
                    break
            for event in reading.rest():
                yield event
        except Broken as broken:
            code, message = _error_of(json.dumps({"error": broken.error}))
            status = broken.error.get("code") if isinstance(broken.error, dict) else None
            message = self._clean(f"{self.name} broke off: {message}")
            raise refusal(status if isinstance(status, int) else 500, code, message, None) from broken
        except BrokenConnection as error:
            raise self._cut(error, silenced=silence.over) from error
        finally:
            silence.stop()
            response.close()

    def context_tokens(self, model: str) -> int:
        return CONTEXT_TOKENS

    async def models(self) -> tuple[str, ...]:
        """Return the available models, the default first. Raise `ProviderError`."""
        # Only this needs the vendor's package, which takes a second to load. Streams continue meanwhile.
        openai = await asyncio.to_thread(import_module, "openai")
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
        self._connections.close()

    def _body(self, request: CompletionRequest) -> dict[str, Any]:
        messages = [{"role": "system", "content": request.instructions}] if request.instructions else []
        messages += map(_message, request.messages)
        body: dict[str, Any] = {"model": request.model, "stream": True, "messages": messages}
        body["stream_options"] = {"include_usage": True}
        if self._is_openai:
            # OpenAI otherwise pads each chunk with random characters; other services may reject the option.
            body["stream_options"]["include_obfuscation"] = False
        if request.tools:
            body["tools"] = _tools(request.tools)
        sampling = request.sampling
        if sampling.max_output_tokens is not None:
            # Compatible services know the older name, which OpenAI's reasoning models reject.
            body["max_completion_tokens" if self._is_openai else "max_tokens"] = sampling.max_output_tokens
        if sampling.temperature is not None:
            body["temperature"] = sampling.temperature
        return body

    async def _refusal(self, response: Answer) -> ProviderError:
        text = (await response.read_up_to(MAX_ERROR_BYTES)).decode("utf-8", "replace")
        code, message = _error_of(text)
        message = self._clean(f"{self.name} answered {response.status}: {message}")
        retry_after = None
        # The header may also be a date (RFC 9110, section 10.2.3), which is ignored.
        with suppress(KeyError, ValueError):
            retry_after = max(0.0, float(response.headers["retry-after"]))
        return refusal(response.status, code, message, retry_after)

    def _cut(self, error: Exception, *, silenced: bool) -> ProviderError:
        if silenced:
            return ProviderError(f"{self.name} did not answer in time.", code="provider_timeout", retryable=True)
        message = self._clean(f"{self.name} cannot be reached, or broke off: {error}")
        return ProviderError(message, code="provider_unavailable", retryable=True)

    def _clean(self, message: str) -> str:
        hidden = message.replace(self._api_key, "***") if self._api_key else message
        return hidden[:MAX_ERROR_CHARACTERS]


# OpenAI uses status 429 for two things: a rate limit, which passes, and a used-up quota, which does not.
def refusal(status: int, code: str, message: str, retry_after: float | None) -> ProviderError:
    """Return the error for a status and the service's own error code."""
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


def _error_of(text: str) -> tuple[str, str]:
    """Return the code and the message of an error's body. Compatible services use several shapes."""
    try:
        error = json.loads(text)["error"]
    except (ValueError, KeyError, TypeError):
        return "", text
    if not isinstance(error, dict):
        return "", str(error)
    return str(error.get("code") or error.get("type") or ""), str(error.get("message") or error)


# Encoding the schemas of all tools costs more than the rest of a request, and they rarely change.
@lru_cache(maxsize=MAX_OFFERS)
def _tools(tools: tuple[ToolSpec, ...]) -> msgspec.Raw:
    functions = [
        {"name": wire_name(tool.name), "description": tool.description, "parameters": tool.parameters} for tool in tools
    ]
    return msgspec.Raw(_encode([{"type": "function", "function": function} for function in functions]))


def _message(message: Message) -> dict[str, Any]:
    if isinstance(message, ToolMessage):
        return {"role": "tool", "tool_call_id": message.call_id, "content": message.content}
    if isinstance(message, AssistantMessage):
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
    if not message.images:
        return {"role": "user", "content": message.text}
    parts: list[dict[str, Any]] = [{"type": "text", "text": message.text}] if message.text else []
    for image in message.images:
        data = base64.b64encode(image.data).decode()
        parts.append({"type": "image_url", "image_url": {"url": f"data:{image.media_type};base64,{data}"}})
    return {"role": "user", "content": parts}
