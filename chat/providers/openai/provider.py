"""The provider for OpenAI's chat completions API, and for every compatible service.

https://platform.openai.com/docs/api-reference/chat-streaming
"""

# The stream is read as bytes, and a text delta's JSON string is passed on unchanged. Building the SDK's model of each
# chunk would cost more than ten times as much as everything else.

import asyncio
from collections.abc import AsyncGenerator, Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any, ClassVar, Final, Literal
from urllib.parse import urlsplit

import msgspec

from chat.engine.model_port import CompletionEvent, CompletionRequest, ProviderError, SamplingOptions, Text
from chat.engine.text import whole_text
from chat.providers.base import MAX_OFFERS, Capability, Provider, Silence, Timeouts, wire_name, wire_names
from chat.providers.openai.chunks import Reader
from chat.providers.openai.contexts import Contexts
from chat.providers.openai.endpoint import Endpoint
from chat.providers.openai.errors import context_length, read_body, refusal
from chat.providers.openai.history import has_other_ids, sent_messages
from chat.providers.openai.listing import listed_models
from chat.providers.refusals import retry_after
from chat.providers.streaming_http import Answer, BrokenConnection, Connections, Route
from tools.base import ToolSpec
from web.urls import endpoint as url_below

OPENAI_HOST: Final = "api.openai.com"
USAGE_SECONDS: Final = 5.0
"""Seconds to wait for the usage after a finish reason."""

MAX_DESCRIPTION_CHARACTERS: Final = 1_024
"""The longest description of a function that OpenAI takes."""

PLAIN_OPTIONS: Final = (
    "temperature",
    "top_p",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "reasoning_effort",
)
"""Options that the API has under the same names."""

TOOL_CHOICES: Final = frozenset({"auto", "none", "required"})
MAX_LISTING_BYTES: Final = 8 * 2**20
MAX_ERROR_BYTES: Final = 16 * 1_024
MAX_ERROR_CHARACTERS: Final = 500
MIN_SECRET_CHARACTERS: Final = 8
"""Shorter values of headers and queries, such as `1`, are no secrets."""

USER_AGENT: Final = "orchestrator-service"

_encode = msgspec.json.Encoder().encode


class OpenAI(Provider):
    """The service of an endpoint."""

    supports_tools: ClassVar[bool] = True
    supports_images: ClassVar[bool] = True
    options: ClassVar[frozenset[str]] = frozenset(SamplingOptions.__struct_fields__)

    def __init__(self, endpoint: Endpoint, timeouts: Timeouts) -> None:
        self.name = endpoint.name
        self.default_model = endpoint.default_model
        self._endpoint = endpoint
        self._timeouts = timeouts
        self._portable_ids = False
        self._contexts = Contexts(endpoint)
        self._is_openai = urlsplit(endpoint.base_url).hostname == OPENAI_HOST
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream", "User-Agent": USER_AGENT}
        if endpoint.api_key:
            is_plain = endpoint.key_header == "api-key"
            headers |= {"api-key": endpoint.api_key} if is_plain else {"Authorization": f"Bearer {endpoint.api_key}"}
        headers |= {"OpenAI-Organization": endpoint.organization} if endpoint.organization else {}
        headers |= {"OpenAI-Project": endpoint.project} if endpoint.project else {}
        headers |= endpoint.headers
        self._connections = connections(endpoint, "/chat/completions", headers, timeouts.connect)
        self._listing = connections(endpoint, "/models", {**headers, "Accept": "application/json"}, timeouts.connect)

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[CompletionEvent]:
        clock = _Clock(self._timeouts)
        try:
            async with asyncio.timeout_at(clock.deadline):
                response = await self._ask(request)
        except (BrokenConnection, TimeoutError) as error:
            raise self._cut(error, silenced=isinstance(error, TimeoutError)) from error
        silence = clock.start(response)
        reading = Reader(self.name, request.model, wire_names(request.tools))
        try:
            if response.status != HTTPStatus.OK:
                raise await self._refusal(response, request.model)
            while not reading.done and (segment := await response.read()):
                if pieces := reading.take(segment):
                    yield Text(pieces)
                clock.note(reading)
        except BrokenConnection as error:
            reading.fail(self._cut(error, silenced=silence.over))
        finally:
            silence.stop()
            response.close()
        try:
            for event in reading.rest():
                yield event
        except ProviderError as error:
            raise self._cleaned(error) from error.__cause__

    async def _ask(self, request: CompletionRequest) -> Answer:
        # The body is not kept in a variable: with its schemas of all tools it would stay in a frame, 19 KB a stream.
        response = await self._connections.post(_encode(self._body(request)))
        refused = response.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}
        if refused and not self._portable_ids and has_other_ids(request):
            # Another service gave these ids, and this one may take its own form only.
            response.close()
            self._portable_ids = True
            response = await self._connections.post(_encode(self._body(request)))
            self._portable_ids = response.status == HTTPStatus.OK
        return response

    def context_tokens(self, model: str) -> int:
        return self._contexts.tokens(model)

    def max_context_tokens(self, model: str) -> int:
        return self._contexts.most(model)

    def supports(self, model: str, what: Capability) -> bool:
        known = self._endpoint.known(model)
        return known is None or {"tools": known.tools, "images": known.images, "schemas": known.schemas}[what]

    def takes_field(self, name: str) -> bool:
        return name in self._endpoint.extra_body

    def warning(self) -> str:
        return self._contexts.warning(self.default_model)

    async def models(self) -> tuple[str, ...]:
        """Return the available models, the default first. Raise `ProviderError`."""
        try:
            async with asyncio.timeout(self._timeouts.connect):
                response = await self._listing.get()
                try:
                    if response.status != HTTPStatus.OK:
                        raise await self._refusal(response)
                    text = (await response.read_up_to(MAX_LISTING_BYTES)).decode("utf-8", "replace")
                finally:
                    response.close()
        except (BrokenConnection, TimeoutError) as error:
            raise self._cut(error, silenced=isinstance(error, TimeoutError)) from error
        listed = listed_models(text)
        self._contexts.learn(listed)
        return tuple(dict.fromkeys([*([self.default_model] if self.default_model else []), *sorted(listed)]))

    async def close(self) -> None:
        self._connections.close()
        self._listing.close()

    def _body(self, request: CompletionRequest) -> dict[str, Any]:
        messages = sent_messages(request, portable_ids=self._portable_ids)
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
        for name in PLAIN_OPTIONS:
            if (value := getattr(sampling, name)) is not None:
                body[name] = value
        if request.tools and sampling.tool_choice is not None:
            is_name = sampling.tool_choice not in TOOL_CHOICES
            named = {"type": "function", "function": {"name": wire_name(sampling.tool_choice)}}
            body["tool_choice"] = named if is_name else sampling.tool_choice
        if request.tools and sampling.parallel_tool_calls is not None:
            body["parallel_tool_calls"] = sampling.parallel_tool_calls
        if request.output_schema is not None:
            schema = {"name": "output", "schema": request.output_schema.fields}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return {**body, **(sampling.extra_body or {}), **self._endpoint.body}

    async def _refusal(self, response: Answer, model: str = "") -> ProviderError:
        if HTTPStatus.MULTIPLE_CHOICES <= response.status < HTTPStatus.BAD_REQUEST:
            # Following it would send the key to another place.
            place = urlsplit(response.headers.get("location", ""))
            to = f"{place.scheme}://{place.hostname}{place.path}" if place.hostname else place.path
            message = f"{self.name} answered {response.status}: a redirect to {to}, which is not followed."
            return ProviderError(self._clean(message), code="provider_rejected", retryable=False)
        error = read_body((await response.read_up_to(MAX_ERROR_BYTES)).decode("utf-8", "replace"))
        message = self._clean(f"{self.name} answered {response.status}: {whole_text(error.message)}")
        refused = refusal(response.status, error.code, message, retry_after(response.headers.get("retry-after", "")))
        if refused.code == "context_too_long" and (tokens := context_length(message)):
            self._contexts.lower(model, tokens)
        return refused

    def _cut(self, error: Exception, *, silenced: bool) -> ProviderError:
        if silenced:
            return ProviderError(f"{self.name} did not answer in time.", code="provider_timeout", retryable=True)
        message = self._clean(f"{self.name} cannot be reached, or broke off: {error}")
        return ProviderError(message, code="provider_unavailable", retryable=True)

    def _cleaned(self, error: ProviderError) -> ProviderError:
        return ProviderError(
            self._clean(str(error)), code=error.code, retryable=error.retryable, retry_after=error.retry_after
        )

    def _clean(self, message: str) -> str:
        for secret in self._endpoint.secrets():
            message = message.replace(secret, "***") if len(secret) >= MIN_SECRET_CHARACTERS else message
        return message[:MAX_ERROR_CHARACTERS]


class _Clock:
    """The time limits of one answer: until something of it arrives, then between its bytes, then for its usage."""

    # Some services send the head, or comments, before they have read the prompt: neither ends the wait for the answer.

    def __init__(self, timeouts: Timeouts) -> None:
        self.deadline = asyncio.get_running_loop().time() + timeouts.first_byte
        self._idle = timeouts.idle
        self._silence: Silence | None = None
        self._phase: Literal["waiting", "reading", "finished"] = "waiting"

    def start(self, response: Answer) -> Silence:
        """Limit the time of a response whose head has arrived."""
        left = self.deadline - asyncio.get_running_loop().time()
        self._silence = Silence(max(0.0, left), response.abort)
        return self._silence

    def note(self, reading: Reader) -> None:
        """Note that bytes have arrived, and whether the answer has begun or finished with them."""
        if self._silence is None or self._phase == "finished":
            return
        if reading.finished:
            self._phase = "finished"
            self._silence.restart(min(self._idle, USAGE_SECONDS))
        elif self._phase == "reading":
            self._silence.note()
        elif reading.begun:
            self._phase = "reading"
            self._silence.restart(self._idle)


def connections(endpoint: Endpoint, path: str, headers: Mapping[str, str], connect_seconds: float) -> Connections:
    """Return the connections to a path of an endpoint."""
    route = Route(
        ca_file=endpoint.ca_file,
        client_certificate=endpoint.client_certificate,
        client_key=endpoint.client_key,
        unix_socket=endpoint.unix_socket,
    )
    url = url_below(endpoint.base_url, path, endpoint.query)
    return Connections(url, headers, connect_seconds=connect_seconds, route=route)


# Encoding the schemas of all tools costs more than the rest of a request, and they rarely change.
@lru_cache(maxsize=MAX_OFFERS)
def _tools(tools: tuple[ToolSpec, ...]) -> msgspec.Raw:
    functions = [
        {
            "name": wire_name(tool.name),
            "description": tool.description[:MAX_DESCRIPTION_CHARACTERS],
            "parameters": tool.parameters,
        }
        for tool in tools
    ]
    return msgspec.Raw(_encode([{"type": "function", "function": function} for function in functions]))
