"""The provider that plays the tour. It is stateless: the conversation shows how far the tour has come."""

import asyncio
import re
from collections.abc import AsyncGenerator
from typing import ClassVar, Final

import msgspec

from chat.engine.messages import AssistantMessage, Message, ToolCall, UserMessage
from chat.engine.model_port import (
    CompletionEvent,
    CompletionRequest,
    Finished,
    SamplingOptions,
    Text,
    TokensUsed,
)
from chat.providers.base import Provider, new_call_id
from chat.providers.demo.tour import TOUR

MODEL: Final = "tour"
CONTEXT_TOKENS: Final = 100_000
WORD_SECONDS: Final = 0.02
"""Seconds between two words, so that a person sees them arrive."""

_WORDS: Final = re.compile(r"\s*\S+|\s+$")


class Demo(Provider):
    """Answers every question with the tour."""

    name = "demo"
    supports_tools: ClassVar[bool] = True
    options: ClassVar[frozenset[str]] = frozenset(SamplingOptions.__struct_fields__)

    default_model = MODEL

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[CompletionEvent]:
        step = TOUR[min(steps_taken(request.messages), len(TOUR) - 1)]
        words = _WORDS.findall(step.text)
        for word in words:
            await asyncio.sleep(WORD_SECONDS)
            yield Text.of(word)
        if step.tool:
            arguments = msgspec.json.encode(step.params).decode()
            yield ToolCall(call_id=new_call_id(), name=step.tool, arguments=arguments)
        yield TokensUsed(input_tokens=0, output_tokens=len(words))
        yield Finished(reason="tool_calls" if step.tool else "stop")

    def context_tokens(self, model: str) -> int:
        return CONTEXT_TOKENS

    async def models(self) -> tuple[str, ...]:
        return (MODEL,)


def steps_taken(messages: tuple[Message, ...]) -> int:
    """Return the number of answers since the last question."""
    count = 0
    for message in reversed(messages):
        if isinstance(message, UserMessage):
            break
        count += isinstance(message, AssistantMessage)
    return count
