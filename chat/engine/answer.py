"""One answer of a model while it arrives."""

from collections.abc import Callable
from typing import Final

import msgspec

from chat.engine.context.window import Count, request_tokens
from chat.engine.events import Reasoning, Usage
from chat.engine.messages import AssistantMessage, ProviderParts, ToolCall
from chat.engine.model_port import Finished, Text, Thought, TokensUsed
from chat.engine.retry import ModelCall
from chat.engine.transcript import decode_pieces

Price = Callable[[str, str, TokensUsed], float | None]
"""The cost in USD of a call, by provider, model and tokens; None if the price is unknown."""

MAX_TOKENS: Final = 2**31 - 1
"""Tokens of one call: more than any model takes, and the largest value of an integer column in PostgreSQL."""

MAX_REASONING_CHARACTERS: Final = 100_000
"""Characters of one answer's reasoning that are shown. The message has all of it."""


class Answer:
    """The part of a model's answer that has arrived: `size` bytes of text, and `finished` at its end."""

    def __init__(self, call: ModelCall) -> None:
        self.call = call
        self.pieces: list[bytes] = []
        self.size = 0
        self.tool_calls: list[ToolCall] = []
        self.finished: Finished | None = None
        self._thoughts: list[str] = []
        self._shown = 0
        self._used: TokensUsed | None = None

    def add(self, text: Text) -> None:
        self.pieces += text.pieces
        self.size += sum(map(len, text.pieces))

    def note(self, event: Thought | ToolCall | TokensUsed | Finished) -> Reasoning | None:
        """Add everything except text. Return the reasoning to show, if the run shows it."""
        if isinstance(event, Thought):
            self._thoughts.append(event.text)
            shown = event.text[: MAX_REASONING_CHARACTERS - self._shown]
            self._shown += len(shown)
            return Reasoning(text=shown) if shown and self.call.request.shows_reasoning else None
        if isinstance(event, ToolCall):
            self.tool_calls.append(event)
        elif isinstance(event, TokensUsed):
            # A service may report any number. Without bounds, a negative one would give tokens back to a budget.
            # Totals only grow, and a count of 0 after another one is a count that the service left out.
            before = self._used or TokensUsed(input_tokens=0, output_tokens=0)
            input_tokens = _between(event.input_tokens, MAX_TOKENS) or before.input_tokens
            output_tokens = _between(event.output_tokens, MAX_TOKENS) or before.output_tokens
            self._used = TokensUsed(
                input_tokens=input_tokens,
                output_tokens=output_tokens,
                cached_tokens=(cached := _between(event.cached_tokens or before.cached_tokens, input_tokens)),
                cache_write_tokens=_between(
                    event.cache_write_tokens or before.cache_write_tokens, input_tokens - cached
                ),
                reasoning_tokens=_between(event.reasoning_tokens or before.reasoning_tokens, output_tokens),
            )
        else:
            self.finished = event
        return None

    @property
    def has_begun(self) -> bool:
        """True if anything arrived. A request that was rejected before that costs nothing."""
        return bool(self.pieces or self._thoughts or self.tool_calls or self._used)

    def requested_calls(self) -> tuple[ToolCall, ...]:
        """Return the tool calls to run."""
        # If the answer was cut off, the arguments of its last call may be incomplete: none of them is run.
        complete = self.finished is not None and self.finished.reason in {"stop", "tool_calls"}
        return tuple(self.tool_calls) if complete else ()

    def message(self) -> AssistantMessage:
        parts = self.finished.provider_parts if self.finished else None
        if parts is None and self._thoughts:
            # The reasoning of an answer that was cut off is kept, and goes back to no service.
            parts = ProviderParts(provider="", model="", data=None, reasoning="".join(self._thoughts))
        return AssistantMessage(
            text=decode_pieces(self.pieces), tool_calls=self.requested_calls(), provider_parts=parts
        )

    def usage(self, price: Price, count: Count) -> Usage:
        """Return the tokens and the cost of the call."""
        # Some services report no usage or a part of it, and an interrupted stream ends before its usage chunk.
        used = self._used or TokensUsed(input_tokens=0, output_tokens=0)
        says_something = bool(self.pieces or self._thoughts or self.tool_calls)
        estimated = self._used is None or not used.input_tokens or (says_something and not used.output_tokens)
        if estimated:
            unseen = sum(count(call.name + call.arguments) for call in self.tool_calls)
            unseen += count("".join(self._thoughts))
            used = msgspec.structs.replace(
                used,
                input_tokens=used.input_tokens or request_tokens(self.call.request, count),
                output_tokens=used.output_tokens or count(decode_pieces(self.pieces)) + unseen,
            )
        candidate = self.call.candidate
        return Usage(
            input_tokens=used.input_tokens,
            output_tokens=used.output_tokens,
            cached_tokens=used.cached_tokens,
            reasoning_tokens=used.reasoning_tokens,
            cost_usd=price(candidate.provider.name, candidate.model, used),
            estimated=estimated,
        )


def _between(count: int, maximum: int) -> int:
    return min(max(count, 0), maximum)
