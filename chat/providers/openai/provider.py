"""The provider for OpenAI's chat completions API, and for every compatible service.

https://platform.openai.com/docs/api-reference/chat-streaming
"""

# The stream is read as bytes, and a text delta's JSON string is passed on unchanged. Building the SDK's model of each
# chunk would cost more than ten times as much as everything else.

from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import msgspec

from chat.engine.model_port import CompletionRequest, ProviderError, SamplingOptions
from chat.providers.base import MAX_OFFERS, Capability, Timeouts, wire_names
from chat.providers.event_reader import EventReader
from chat.providers.http_provider import USER_AGENT, HttpProvider
from chat.providers.model_list import listed_models
from chat.providers.openai.chunks import Reader
from chat.providers.openai.contexts import Contexts
from chat.providers.openai.endpoint import Endpoint
from chat.providers.openai.history import NEEDED_REASONING, has_other_ids, sent_messages
from chat.providers.refusals import context_length
from chat.providers.streaming_http import Answer, Connections, Route
from tools.base import ToolSpec
from tools.registry import wire_name
from web.urls import endpoint as url_below

OPENAI_HOST: Final = "api.openai.com"
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

_encode = msgspec.json.Encoder().encode


class OpenAI(HttpProvider):
    """The service of an endpoint."""

    supports_tools: ClassVar[bool] = True
    supports_images: ClassVar[bool] = True
    options: ClassVar[frozenset[str]] = frozenset(SamplingOptions.__struct_fields__)

    def __init__(self, endpoint: Endpoint, timeouts: Timeouts) -> None:
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream", "User-Agent": USER_AGENT}
        headers |= endpoint.request_headers()
        super().__init__(
            endpoint.name,
            endpoint.default_model,
            timeouts,
            connections=connections(endpoint, "/chat/completions", headers, timeouts.connect),
            secrets=endpoint.secrets(),
        )
        listing_headers = {**headers, "Accept": "application/json"}
        self._listing = connections(endpoint, "/models", listing_headers, timeouts.connect)
        self._endpoint = endpoint
        self._portable_ids = False
        self._needs_reasoning: set[str] = set()
        self._contexts = Contexts(endpoint)
        self._is_openai = urlsplit(endpoint.base_url).hostname == OPENAI_HOST

    def reader(self, request: CompletionRequest) -> EventReader:
        return Reader(self.name, request.model, wire_names(request.tools))

    async def ask(self, request: CompletionRequest) -> Answer:
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
        listed = listed_models(await self._read_list(self._listing))
        self._contexts.learn(listed)
        return tuple(dict.fromkeys([*([self.default_model] if self.default_model else []), *sorted(listed)]))

    def note_refusal(self, error: ProviderError, model: str) -> ProviderError:
        if error.code == "context_too_long" and (tokens := context_length(str(error))):
            self._contexts.lower(model, tokens)
        if error.code == "provider_rejected" and NEEDED_REASONING in str(error) and model not in self._needs_reasoning:
            # Another model wrote the calls, or this one wrote them without reasoning.
            self._needs_reasoning.add(model)
            return ProviderError(str(error), code=error.code, retryable=True)
        return error

    async def close(self) -> None:
        await super().close()
        self._listing.close()

    def _body(self, request: CompletionRequest) -> dict[str, Any]:
        messages = sent_messages(
            request, portable_ids=self._portable_ids, needs_reasoning=request.model in self._needs_reasoning
        )
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
