"""One answer of a model while it arrives."""

from collections.abc import Callable
from typing import Final

from chat.engine.events import Usage
from chat.engine.messages import AssistantMessage, ToolCall
from chat.engine.model_port import Finished, Text, TokensUsed
from chat.engine.retry import Asked
from chat.engine.token_estimate import Count, request_tokens
from chat.engine.transcript import decode_pieces

Price = Callable[[str, str, TokensUsed], float | None]
"""The cost in USD of a provider's model's tokens, or None where it is unknown."""

MAX_TOKENS: Final = 2**31 - 1
"""Of one call: more than any model takes, and what every database keeps."""


class Answer:
    """What has arrived of the answer to `asked`: `size` bytes of text, and `finished` once it is."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.pieces: list[bytes] = []
        self.size = 0
        self.calls: list[ToolCall] = []
        self.finished: Finished | None = None
        self._used: TokensUsed | None = None

    def add(self, text: Text) -> None:
        self.pieces += text.pieces
        self.size += sum(map(len, text.pieces))

    def note(self, event: ToolCall | TokensUsed | Finished) -> None:
        if isinstance(event, ToolCall):
            self.calls.append(event)
        elif isinstance(event, TokensUsed):
            self._used = _plausible(event)
        else:
            self.finished = event

    @property
    def has_begun(self) -> bool:
        """Whether anything came: a request that was refused outright has cost nothing."""
        return bool(self.pieces or self.calls or self._used)

    def wanted_calls(self) -> tuple[ToolCall, ...]:
        """The calls to run: none of an answer that was cut off, for the last of them may be half a call."""
        complete = self.finished is not None and self.finished.reason in {"stop", "tool_calls"}
        return tuple(self.calls) if complete else ()

    def message(self) -> AssistantMessage:
        return AssistantMessage(
            text=decode_pieces(self.pieces),
            tool_calls=self.wanted_calls(),
            provider_parts=self.finished.provider_parts if self.finished else None,
        )

    def usage(self, price: Price, count: Count) -> Usage:
        """What the call has cost; estimated where the provider did not say, or was not heard to the end."""
        used = self._used or self._estimate(count)
        candidate = self.asked.candidate
        return Usage(
            input_tokens=used.input_tokens,
            output_tokens=used.output_tokens,
            cached_tokens=used.cached_tokens,
            reasoning_tokens=used.reasoning_tokens,
            cost_usd=price(candidate.provider.name, candidate.model, used),
            estimated=self._used is None,
        )

    def _estimate(self, count: Count) -> TokensUsed:
        called = sum(count(call.name + call.arguments) for call in self.calls)
        answered = count(decode_pieces(self.pieces)) + called
        return TokensUsed(input_tokens=request_tokens(self.asked.request, count), output_tokens=answered)


def _plausible(told: TokensUsed) -> TokensUsed:
    """What a service has told, within what there can be: nobody gets tokens back by a number below 0."""
    input_tokens, output_tokens = _between(told.input_tokens, MAX_TOKENS), _between(told.output_tokens, MAX_TOKENS)
    return TokensUsed(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cached_tokens=_between(told.cached_tokens, input_tokens),
        reasoning_tokens=_between(told.reasoning_tokens, output_tokens),
    )


def _between(count: int, most: int) -> int:
    return min(max(count, 0), most)
