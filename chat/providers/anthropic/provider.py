"""The provider for Anthropic's Messages API, and for services with the same one.

https://docs.anthropic.com/en/api/messages-streaming
"""

import json
from typing import ClassVar, Final

from chat.engine.model_port import CompletionRequest, SamplingOptions
from chat.providers.anthropic.answers import Reader
from chat.providers.anthropic.effort import problem
from chat.providers.anthropic.limits import context_tokens, max_tokens
from chat.providers.anthropic.parts import PROVIDER
from chat.providers.anthropic.requests import body, encode
from chat.providers.base import Timeouts
from chat.providers.event_reader import EventReader
from chat.providers.http_provider import USER_AGENT, HttpProvider
from chat.providers.model_list import listed_models
from chat.providers.streaming_http import Answer, Connections
from web.urls import endpoint

API_VERSION: Final = "2023-06-01"
PAGE_SIZE: Final = "1000"
MAX_PAGES: Final = 5
"""Pages of the list of models that are read."""


class Anthropic(HttpProvider):
    """The service at `base_url`, with or without its `/v1`."""

    supports_tools: ClassVar[bool] = True
    supports_images: ClassVar[bool] = True
    options: ClassVar[frozenset[str]] = frozenset(
        {
            "max_output_tokens",
            "temperature",
            "top_p",
            "stop",
            "reasoning_effort",
            "tool_choice",
            "parallel_tool_calls",
        }
    )

    def __init__(self, *, api_key: str, base_url: str, default_model: str, timeouts: Timeouts) -> None:
        self._base_url = base_url.removesuffix("/v1")
        self._headers = {
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            "anthropic-version": API_VERSION,
        } | ({"x-api-key": api_key} if api_key else {})
        headers = {**self._headers, "Accept": "text/event-stream"}
        url = endpoint(self._base_url, "/v1/messages")
        connections = Connections(url, headers, connect_seconds=timeouts.connect)
        super().__init__(PROVIDER, default_model, timeouts, connections=connections, secrets=(api_key,))

    def context_tokens(self, model: str) -> int:
        return context_tokens(model)

    def max_context_tokens(self, model: str) -> int:
        # Its vocabulary may need fewer tokens than the local one counts.
        return 2 * self.context_tokens(model)

    def option_problem(self, model: str, sampling: SamplingOptions) -> str:
        return problem(model, sampling)

    async def models(self) -> tuple[str, ...]:
        """Return the available models, the default first. Raise `ProviderError`."""
        names = [self.default_model]
        after: dict[str, str] = {}
        for _ in range(MAX_PAGES):
            url = endpoint(self._base_url, "/v1/models", {"limit": PAGE_SIZE, **after})
            listing = Connections(url, self._headers, connect_seconds=self._timeouts.connect)
            try:
                text = await self._read_list(listing)
            finally:
                listing.close()
            names += listed_models(text)
            page = json.loads(text)
            last = page.get("last_id") if isinstance(page, dict) and page.get("has_more") else None
            if not isinstance(last, str) or after.get("after_id") == last:
                break
            after = {"after_id": last}
        return tuple(dict.fromkeys(filter(None, names)))

    def reader(self, request: CompletionRequest) -> EventReader:
        return Reader(self.name, request)

    async def ask(self, request: CompletionRequest) -> Answer:
        return await self._connections.post(encode(body(request, max_tokens(request.model, request.sampling))))
