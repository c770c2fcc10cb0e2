"""The part of a conversation that a model receives: every tool call answered, and no longer than its context."""

from collections.abc import Iterator, Sequence
from typing import Final

from chat.engine.messages import AssistantMessage, Message, ToolMessage, UserMessage
from chat.engine.token_estimate import message_tokens

UNANSWERED: Final = "The call was cut off before its result was recorded. It may or may not have taken effect."


def answered(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Return the conversation with every tool call followed by exactly its result, as the services require.

    A call whose result was lost is answered with an error. A result without a call becomes a user message.
    """
    # Most conversations use no tools, and checking is cheaper than rebuilding them.
    if not any(
        isinstance(message, ToolMessage) or (isinstance(message, AssistantMessage) and message.tool_calls)
        for message in messages
    ):
        return tuple(messages)
    return tuple(_answered(messages))


def _answered(messages: Sequence[Message]) -> Iterator[Message]:
    open_calls: dict[str, str] = {}
    for message in messages:
        if isinstance(message, ToolMessage):
            if open_calls.pop(message.call_id, None) is None:
                # The caller ran this tool, so there is no call of the assistant that the result could answer.
                yield from _lost(open_calls)
                yield UserMessage(text=message.content)
                continue
        else:
            yield from _lost(open_calls)
            if isinstance(message, AssistantMessage):
                open_calls = {call.call_id: call.name for call in message.tool_calls}
        yield message
    yield from _lost(open_calls)


def _lost(open_calls: dict[str, str]) -> Iterator[ToolMessage]:
    for call_id, name in open_calls.items():
        yield ToolMessage(call_id=call_id, name=name, content=UNANSWERED, is_error=True)
    open_calls.clear()


def fit(messages: Sequence[Message], tokens: int) -> tuple[Message, ...]:
    """Return the newest whole exchanges that fit into `tokens`, and always the newest one."""
    # An exchange begins with the first of consecutive user messages. Cutting only there keeps a tool call together
    # with its result.
    exchange_starts = [
        index
        for index, message in enumerate(messages)
        if isinstance(message, UserMessage) and (index == 0 or not isinstance(messages[index - 1], UserMessage))
    ] or [0]
    start = end = len(messages)
    left = tokens
    for first in reversed(exchange_starts):
        left -= sum(message_tokens(message) for message in messages[first:start])
        if left < 0 and start != end:
            break
        start = first
    return tuple(messages[start:])
