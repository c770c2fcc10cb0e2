"""One answer from the first provider that gives it: retries and fallbacks, before the first token only."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

import msgspec

from chat.engine.context_window import answered, fit
from chat.engine.events import Retry
from chat.engine.limits import Retries
from chat.engine.messages import Message
from chat.engine.model_port import CompletionEvent, CompletionRequest, Model, ProviderError, SamplingOptions
from tools.base import ToolSpec

Sleep = Callable[[float], Awaitable[None]]


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A provider, the model to ask it for, and what that model can take (`context_tokens` with the answer)."""

    provider: Model
    model: str
    context_tokens: int
    supports_tools: bool
    supports_images: bool = False


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked, whoever answers."""

    messages: tuple[Message, ...]
    instructions: str
    tools: tuple[ToolSpec, ...]
    sampling: SamplingOptions

    def to(self, candidate: Candidate) -> CompletionRequest:
        """The request. Its history gets three quarters of the model's context; the answer and the tools the rest."""
        return CompletionRequest(
            model=candidate.model,
            messages=fit(answered(self.messages), candidate.context_tokens * 3 // 4),
            instructions=self.instructions,
            tools=self.tools if candidate.supports_tools else (),
            sampling=self.sampling,
        )


class Asked(msgspec.Struct, frozen=True):
    """A candidate is being asked: what follows is its answer."""

    candidate: Candidate
    request: CompletionRequest


class Begun(msgspec.Struct, frozen=True):
    """The answer has begun with `first`. The rest is whoever's who gets this: to iterate, and to close."""

    first: CompletionEvent
    rest: AsyncGenerator[CompletionEvent]


async def attempt(
    question: Question, candidates: Sequence[Candidate], retries: Retries, sleep: Sleep
) -> AsyncGenerator[Asked | Retry | Begun]:
    """Asks until an answer begins, which is the last item. Raises `ProviderError` where none does."""
    for index, candidate in enumerate(candidates):
        following = candidates[index + 1] if index + 1 < len(candidates) else None
        for number in range(1, retries.attempts + 2):
            request = question.to(candidate)
            yield Asked(candidate, request)
            try:
                begun = await _begin(candidate, request)
            except ProviderError as error:
                exhausted = number > retries.attempts
                if not error.retryable or (exhausted and following is None):
                    raise
                yield _retry(candidate, number, error, following if exhausted else candidate)
                if exhausted:
                    break
                await sleep(retries.delay(number, error.retry_after))
            else:
                yield begun
                return


async def _begin(candidate: Candidate, request: CompletionRequest) -> Begun:
    answer = candidate.provider.stream(request)
    first = await anext(answer, None)
    if first is None:
        raise ProviderError("The answer was empty.", code="provider_protocol", retryable=True)
    return Begun(first, answer)


def _retry(candidate: Candidate, number: int, error: ProviderError, following: Candidate | None) -> Retry:
    asked = candidate.provider.name
    following_name = following.provider.name if following else asked
    return Retry(provider=asked, attempt=number, error=str(error), next_provider=following_name, code=error.code)
