"""The context windows of an endpoint's models.

The first source that knows counts. They are the service's refusal of a request, the public data of `genai-prices`, the
operator's file, and the service's own list. If none knows, a conservative default is assumed.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from chat.pricing.vendors import context_window, vendor_of
from chat.providers.base import LARGEST_CONTEXT
from chat.providers.openai.endpoint import Endpoint

OPENAI_TOKENS: Final = 128_000
"""The context of the smallest of OpenAI's current models."""

UNKNOWN_TOKENS: Final = 32_768
"""The context that is assumed of another service's model."""

MAX_OPENAI_CONTEXT: Final = 1_050_000
"""The context of the largest of OpenAI's current models: https://platform.openai.com/docs/models."""

DOUBT: Final = 4
MAX_MODELS: Final = 5_000
"""Models whose context is remembered. Some names come from callers."""


class Contexts:
    """The contexts of one endpoint's models, in tokens."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._is_openai = urlsplit(endpoint.base_url).hostname == "api.openai.com"
        self._listed: dict[str, int] = {}
        self._refused: dict[str, int] = {}

    def tokens(self, model: str) -> int:
        return self._refused.get(model) or self._known(model) or (OPENAI_TOKENS if self._is_openai else UNKNOWN_TOKENS)

    def most(self, model: str) -> int:
        """Return the largest context that a model can have: a longer message is certain to be refused."""
        if model in self._refused:
            # Read from an error, and counted with another vocabulary than ours.
            return DOUBT * self._refused[model]
        return self._known(model) or (MAX_OPENAI_CONTEXT if self._is_openai else LARGEST_CONTEXT)

    def warning(self, model: str) -> str:
        """Return what an operator should know of the default model; empty if its context is known."""
        if not model or self._is_openai or self._refused.get(model) or self._known(model):
            return ""
        return f"The context of {model} is not known, so {UNKNOWN_TOKENS:,} tokens are assumed: see PROVIDERS_FILE."

    def learn(self, listed: Mapping[str, int | None]) -> None:
        """Take the contexts that the service lists."""
        self._listed = {name: tokens for name, tokens in list(listed.items())[:MAX_MODELS] if tokens}

    def lower(self, model: str, tokens: int) -> None:
        """Take the context that the service named when it refused a request. It never raises the one before."""
        before = self.tokens(model)
        if len(self._refused) == MAX_MODELS:
            self._refused.clear()
        self._refused[model] = min(tokens, before)

    def _known(self, model: str) -> int | None:
        vendor = vendor_of(self._endpoint.base_url)
        known = self._endpoint.known(model)
        return (
            (context_window(vendor, model) if vendor else None)
            or (known.context_tokens if known else None)
            or self._listed.get(model)
        )
