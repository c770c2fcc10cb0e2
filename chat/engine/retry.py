"""One answer from the first provider that gives it, with retries and fallbacks before the first token only."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Final

import msgspec

from chat.engine.context.window import answered, fit, message_tokens, request_tokens
from chat.engine.events import Retry
from chat.engine.limits import Retries
from chat.engine.messages import Entry
from chat.engine.model_port import CompletionEvent, CompletionRequest, Model, ProviderError, SamplingOptions, Thought
from chat.engine.output_schema import INSTRUCTIONS, OutputSchema
from tools.base import ToolSpec

Sleep = Callable[[float], Awaitable[None]]


ANSWER_PART: Final = 8
"""The part of a context that is kept for the answer: one eighth."""

MIN_HISTORY: Final = 500
"""Tokens that messages may have however long the instructions and tools are."""


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A provider, one of its models, and that model's capabilities. `context_tokens` include the answer."""

    provider: Model
    model: str
    context_tokens: int
    supports_tools: bool
    supports_images: bool = False
    supports_schemas: bool = False

    @property
    def history_tokens(self) -> int:
        """The part of the context for the messages. The answer and the tools need room too."""
        return self.context_tokens * 3 // 4

    def with_history(self, tokens: int) -> "Candidate":
        """Return the candidate with a context in which the messages have so many tokens."""
        return msgspec.structs.replace(self, context_tokens=tokens * 4 // 3)


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a model call, whichever model answers it."""

    messages: tuple[Entry, ...]
    instructions: str
    tools: tuple[ToolSpec, ...]
    sampling: SamplingOptions
    output_schema: OutputSchema | None = None
    shows_reasoning: bool = False

    def history_tokens(self, candidate: Candidate) -> int:
        """Return the tokens that messages may have: what instructions, tools and an answer leave of the context."""
        empty = CompletionRequest(model="", messages=(), instructions=self.instructions, tools=self.tools)
        left = candidate.context_tokens - request_tokens(empty) - candidate.context_tokens // ANSWER_PART
        return min(max(MIN_HISTORY, left), candidate.history_tokens)

    def to(self, candidate: Candidate) -> CompletionRequest:
        """Return the request to one candidate, cut to its context and its capabilities."""
        schema, instructions = self.output_schema, self.instructions
        if schema is not None and not candidate.supports_schemas:
            instructions = "\n\n".join(filter(None, (instructions, INSTRUCTIONS + schema.text)))
        return CompletionRequest(
            model=candidate.model,
            messages=fit(answered(self.messages), self.history_tokens(candidate)),
            instructions=instructions,
            tools=self.tools if candidate.supports_tools else (),
            sampling=self.sampling,
            output_schema=schema if candidate.supports_schemas else None,
            shows_reasoning=self.shows_reasoning,
        )


class ModelCall(msgspec.Struct, frozen=True):
    """A call of a model: the candidate, and the request that is sent to it."""

    candidate: Candidate
    request: CompletionRequest


class AnswerStarted(msgspec.Struct, frozen=True):
    """The first event of an answer. The receiver iterates over `rest`, and closes it."""

    first: CompletionEvent
    rest: AsyncGenerator[CompletionEvent]


async def attempt(
    prompt: Prompt, candidates: Sequence[Candidate], retries: Retries, sleep: Sleep
) -> AsyncGenerator[ModelCall | Retry | Thought | AnswerStarted]:
    """Call models until an answer starts, which is the last item. Raise `ProviderError` if none does.

    Reasoning does not start an answer: one that fails after it is retried, and begins again.
    """
    for index, candidate in enumerate(candidates):
        following = candidates[index + 1] if index + 1 < len(candidates) else None
        number = 1
        while True:
            request = prompt.to(candidate)
            yield ModelCall(candidate, request)
            answer = candidate.provider.stream(request)
            try:
                while isinstance(first := await anext(answer, None), Thought):
                    yield first
                if first is None:
                    raise ProviderError("The answer was empty.", code="provider_protocol", retryable=True)
            except ProviderError as error:
                # The service takes less than is assumed of it, so it gets the newer half of the history.
                smaller = candidate.with_history(sum(map(message_tokens, request.messages)) // 2)
                shortened = error.code == "context_too_long" and prompt.to(smaller) != request
                exhausted = not shortened and (number > retries.attempts or retries.is_too_long(error.retry_after))
                if not shortened and (not error.retryable or (exhausted and following is None)):
                    raise
                yield Retry(
                    provider=candidate.provider.name,
                    attempt=number,
                    error=str(error),
                    next_provider=following.provider.name if exhausted and following else candidate.provider.name,
                    code=error.code,
                )
                if exhausted:
                    break
                if shortened:
                    candidate = smaller  # noqa: PLW2901 - the same one, of which less is assumed
                    continue
                await sleep(retries.delay(number, error.retry_after))
                number += 1
            else:
                yield AnswerStarted(first, answer)
                return
    raise ProviderError("No provider is available.", code="provider_unavailable", retryable=False)


def from_chosen(candidates: Sequence[Candidate], chosen: Candidate) -> tuple[Candidate, ...]:
    """Return the chosen candidate, with the context that its service was found to take, and those after it."""
    place = [(one.provider, one.model) for one in candidates].index((chosen.provider, chosen.model))
    return (chosen, *candidates[place + 1 :])
