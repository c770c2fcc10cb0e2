"""A test double: a provider that plays given answers through the same interface as a real service.

    provider = Scripted([text("Hello"), Finished(reason="stop")], [ProviderError(...)])

The first list answers the first call, and so on. A call beyond the last one raises `ProviderError`. `requests` has the
received requests. An async function without parameters is awaited in its place, to hold a stream open.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import ClassVar

from chat.engine.model_port import CompletionEvent, CompletionRequest, ProviderError, SamplingOptions, Text
from chat.providers.base import Provider

Line = CompletionEvent | ProviderError | Callable[[], Awaitable[object]]


class Scripted(Provider):
    name = "scripted"
    supports_tools: ClassVar[bool] = True
    supports_images: ClassVar[bool] = True
    options: ClassVar[frozenset[str]] = frozenset(SamplingOptions.__struct_fields__)

    default_model = "scripted-1"

    def __init__(self, *answers: Sequence[Line], context: int = 100_000) -> None:
        self.requests: list[CompletionRequest] = []
        self._answers = list(answers)
        self._context = context

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[CompletionEvent]:
        self.requests.append(request)
        if len(self.requests) > len(self._answers):
            raise ProviderError("The script has no further answer.", code="provider_unavailable", retryable=False)
        for line in self._answers[len(self.requests) - 1]:
            if isinstance(line, ProviderError):
                raise line
            if isinstance(line, CompletionEvent):
                yield line
            else:
                await line()

    def context_tokens(self, model: str) -> int:
        return self._context

    async def models(self) -> tuple[str, ...]:
        return (self.default_model,)


def text(*pieces: str) -> Text:
    """Return pieces of an answer, from plain strings."""
    return Text.of(*pieces)
