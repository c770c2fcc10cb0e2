"""The provider Gemini, through Google's SDK: https://ai.google.dev/api/generate-content."""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import ClassVar, Final

from chat.engine.model_port import CompletionEvent, CompletionRequest, ProviderError, SamplingOptions
from chat.providers.base import Provider, Timeouts
from chat.providers.gemini.answers import Answer
from chat.providers.gemini.client import Client
from chat.providers.gemini.effort import efforts
from chat.providers.gemini.failures import FAILURES, MAX_ERROR_CHARACTERS, failure
from chat.providers.gemini.parts import PROVIDER
from chat.providers.gemini.requests import config

BASE_URL: Final = "https://generativelanguage.googleapis.com/"

CONTEXT_TOKENS: Final = 1_048_576
"""The input limit of the Gemini 2.5 and 3 models: https://ai.google.dev/gemini-api/docs/models."""

GEMMA_CONTEXT_TOKENS: Final = 131_072
"""The context of the Gemma models that the same service offers: https://ai.google.dev/gemma/docs/core."""

# The name becomes part of the URL's path, so it must not be able to name another path.
MODEL: Final = re.compile(r"(?:(?:models|tunedModels)/)?[\w-]+(?:\.[\w-]+)*", re.ASCII)


class Gemini(Provider):
    """Google's Gemini API with an API key. A `base_url` of None is Google's own."""

    name = PROVIDER
    supports_tools: ClassVar[bool] = True
    supports_images: ClassVar[bool] = True
    supports_schemas: ClassVar[bool] = True
    options: ClassVar[frozenset[str]] = frozenset(
        {
            "max_output_tokens",
            "temperature",
            "top_p",
            "stop",
            "seed",
            "presence_penalty",
            "frequency_penalty",
            "reasoning_effort",
            "tool_choice",
        }
    )

    def __init__(self, *, api_key: str, base_url: str | None, default_model: str, timeouts: Timeouts) -> None:
        self.default_model = default_model
        self._api_key = api_key
        self._client = Client(api_key=api_key, base_url=base_url or BASE_URL, timeouts=timeouts)

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[CompletionEvent]:
        if not MODEL.fullmatch(request.model):
            message = f"{request.model[:MAX_ERROR_CHARACTERS]!r} cannot be the name of a Gemini model"
            raise ProviderError(message, code="provider_rejected", retryable=False)
        answer = Answer(request)
        try:
            async with aclosing(self._client.chunks(request.model, config(request))) as chunks:
                async for chunk in chunks:
                    for event in answer.read(chunk):
                        yield event
        except FAILURES as error:
            if not answer.finished:
                raise failure(error, self._api_key) from error
        yield answer.end()

    def context_tokens(self, model: str) -> int:
        return GEMMA_CONTEXT_TOKENS if model.removeprefix("models/").startswith("gemma-") else CONTEXT_TOKENS

    def max_context_tokens(self, model: str) -> int:
        # Its vocabulary may need fewer tokens than the local one counts.
        return 2 * self.context_tokens(model)

    def option_problem(self, model: str, sampling: SamplingOptions) -> str:
        effort, valid = sampling.reasoning_effort, efforts(model)
        if effort is None or effort in valid:
            return ""
        takes = f"takes the reasoning_effort {', '.join(valid)}" if valid else "has no reasoning_effort"
        return f"{model[:MAX_ERROR_CHARACTERS]} {takes}."

    async def models(self) -> tuple[str, ...]:
        """Return the models that generate content, the default first. Raise `ProviderError`."""
        try:
            listed = await self._client.models()
        except FAILURES as error:
            raise failure(error, self._api_key) from error
        return tuple(dict.fromkeys((self.default_model, *listed)))

    async def warm_up(self) -> None:
        self._client.open()

    async def close(self) -> None:
        await self._client.close()
