"""A conversation as a model may be shown it: every call answered, and no longer than the model takes."""

from collections.abc import Iterator, Sequence
from typing import Final

from chat.engine.messages import AssistantMessage, Message, ToolMessage, UserMessage
from chat.engine.token_estimate import message_tokens

UNANSWERED: Final = "The call was cut off before its result was recorded. It may or may not have taken effect."


def answered(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The same conversation with every tool call followed by exactly its result.

    A call whose result was lost is answered by an error. A result that no call asked for (the caller ran the tool)
    becomes the user's words.
    """
    if not any(isinstance(message, ToolMessage) or _calls(message) for message in messages):
        return tuple(messages)
    return tuple(_answered(messages))


def _calls(message: Message) -> bool:
    return isinstance(message, AssistantMessage) and bool(message.tool_calls)


def _answered(messages: Sequence[Message]) -> Iterator[Message]:
    open_calls: dict[str, str] = {}
    for message in messages:
        if isinstance(message, ToolMessage):
            if open_calls.pop(message.call_id, None) is None:
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
    """The newest whole exchanges that fit into `tokens`; the newest one always.

    An exchange starts with what a user says and ends before a user speaks again after an answer, so a tool call is
    never parted from its result.
    """
    start = end = len(messages)
    left = tokens
    for first in reversed(_exchange_starts(messages)):
        left -= sum(message_tokens(message) for message in messages[first:start])
        if left < 0 and start != end:
            break
        start = first
    return tuple(messages[start:])


def _exchange_starts(messages: Sequence[Message]) -> list[int]:
    return [
        index
        for index, message in enumerate(messages)
        if isinstance(message, UserMessage) and (index == 0 or not isinstance(messages[index - 1], UserMessage))
    ] or [0]
