"""The port to a language model: the request of a turn, and the events that a provider streams back.

    ProviderError        the only exception that a provider's stream raises

A stream is any number of `Text`, `Thought`, `ToolCall` and `TokensUsed`, then exactly one `Finished`; or it raises.
"""

from collections.abc import AsyncGenerator
from typing import Any, Literal, Protocol

import msgspec

from chat.engine.messages import Message, ProviderParts, ToolCall
from chat.engine.output_schema import OutputSchema
from chat.engine.text import whole_text
from tools.base import ToolSpec

ErrorCode = Literal[
    "provider_unavailable",
    "provider_timeout",
    "provider_rate_limited",
    "provider_auth",
    "provider_rejected",
    "provider_protocol",
    "context_too_long",
    "output_invalid",
]

FinishReason = Literal["stop", "tool_calls", "length", "content_filter"]


class ProviderError(Exception):
    """A model call failed.

    `retryable` means that the same request may succeed later or elsewhere. `retry_after` is the number of seconds
    that the service requested, or None.
    """

    def __init__(self, message: str, *, code: ErrorCode, retryable: bool, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.retryable = retryable
        self.retry_after = retry_after


# `omit_defaults`: the stored options of a run have only those that the caller chose.
class SamplingOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The options of a run's model calls. An option that is None keeps the provider's own default.

    `tool_choice` is `auto`, `none`, `required` or the name of a tool. `required` and a name are for the run's first
    call only: the run would not end otherwise. `extra_body` has fields of the service's own.
    """

    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    reasoning_effort: str | None = None
    tool_choice: str | None = None
    parallel_tool_calls: bool | None = None
    extra_body: dict[str, Any] | None = None

    @property
    def chosen(self) -> tuple[str, ...]:
        """The names of the options that are not None."""
        return tuple(name for name in self.__struct_fields__ if getattr(self, name) is not None)


class CompletionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a model. With an `output_schema`, the provider asks the service to match it.

    With `shows_reasoning`, it asks for the reasoning of a service that otherwise keeps it to itself.
    """

    model: str
    messages: tuple[Message, ...]
    instructions: str = ""
    tools: tuple[ToolSpec, ...] = ()
    sampling: SamplingOptions = SamplingOptions()
    output_schema: OutputSchema | None = None
    shows_reasoning: bool = False


class Text(msgspec.Struct, frozen=True):
    """Pieces of the answer that arrived together, in order.

    Each piece is the inside of a JSON string literal in UTF-8, without its quotes. It is valid by itself, and has no
    half of a surrogate pair.
    """

    # A piece goes from the upstream's bytes into an event's bytes without being decoded: 1 us a token instead of 66 us
    # with a response model.
    pieces: tuple[bytes, ...]

    @classmethod
    def of(cls, *texts: str) -> "Text":
        """Return pieces of plain texts. NUL and halves of surrogate pairs are replaced."""
        return cls(tuple(msgspec.json.encode(whole_text(text))[1:-1] for text in texts))


class Thought(msgspec.Struct, frozen=True):
    """A piece of the model's reasoning, without NUL and halves of surrogate pairs.

    All pieces of an answer, joined, are the `reasoning` of its `provider_parts`.
    """

    text: str


class TokensUsed(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one call. `reasoning_tokens` are part of the output.

    `cached_tokens` and `cache_write_tokens`, read from and written to the service's cache, are parts of the input.
    """

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """The model stopped. `provider_parts` must be replayed verbatim with this message."""

    reason: FinishReason
    provider_parts: ProviderParts | None = None


CompletionEvent = Text | Thought | ToolCall | TokensUsed | Finished


class Model(Protocol):
    """The interface of a provider that the turn uses."""

    @property
    def name(self) -> str: ...

    def stream(self, request: CompletionRequest) -> AsyncGenerator[CompletionEvent]:
        """Stream one answer. Closing the generator stops the upstream call. Raise `ProviderError`."""
        ...
