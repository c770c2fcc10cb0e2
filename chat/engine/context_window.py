"""The part of a conversation that fits into a model's context: every tool call answered, and its tokens estimated."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from chat.engine.messages import AssistantMessage, Message, ToolMessage, UserMessage
from chat.engine.model_port import CompletionRequest
from tools.base import ToolSpec

Count = Callable[[str], int]
"""A function that returns the number of tokens of a text, exactly or approximately."""

# English prose and code have about 4 bytes a token: 3 is cautious. Other scripts count by their UTF-8 length.
BYTES_PER_TOKEN: Final = 3

MESSAGE_TOKENS: Final = 4
IMAGE_TOKENS: Final = 1_000


def text_tokens(text: str) -> int:
    """Estimate the tokens of a text without a tokenizer."""
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return -(-size // BYTES_PER_TOKEN)


def message_tokens(message: Message, count: Count = text_tokens) -> int:
    """Estimate the tokens of a message, with its role and separators."""
    if isinstance(message, ToolMessage):
        return MESSAGE_TOKENS + count(message.content)
    size = MESSAGE_TOKENS + count(message.text)
    if isinstance(message, UserMessage):
        return size + IMAGE_TOKENS * len(message.images)
    return size + sum(count(call.name + call.arguments) for call in message.tool_calls)


def request_tokens(request: CompletionRequest, count: Count = text_tokens) -> int:
    """Estimate the tokens of a request, including its tools."""
    tools = sum(_tool_tokens(tool, count) for tool in request.tools)
    schema = count(request.output_schema.text) if request.output_schema else 0
    return (
        count(request.instructions)
        + schema
        + tools
        + sum(message_tokens(message, count) for message in request.messages)
    )


# Every call of a run sends the same tools, and their schemas are long.
@lru_cache(maxsize=1_024)
def _tool_tokens(tool: ToolSpec, count: Count) -> int:
    # As it is sent: JSON, and not Python's own form.
    return count(f"{tool.name}{tool.description}{msgspec.json.encode(tool.parameters).decode()}")


KEPT_RESULTS: Final = 3
"""The newest tool results, which are never replaced."""

KEPT_STEPS: Final = 2
"""The newest answers with their tool results, which are never left out."""

MIN_RESULT: Final = 50
"""Tokens of a tool result that is worth replacing."""

REPLACED: Final = "[This result was left out to save context.{how}]"
HOW_TO_READ: Final = " output.read with execution_id {execution_id} reads it."
LEFT_OUT: Final = "[{count} earlier messages of this conversation were left out to save context.]"

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


class Compacted(msgspec.Struct, frozen=True):
    """A shorter conversation: how many tool `results` were replaced, and how many messages were `left_out`."""

    messages: tuple[Message, ...]
    results: int = 0
    left_out: int = 0


def compact(messages: Sequence[Message], tokens: int, *, pages: bool = False) -> Compacted:
    """Return the conversation shortened to about `tokens`, by these means in order, each no further than needed.

    Old tool results are replaced by a line, which names `output.read` if there are `pages`. Older exchanges are left
    out. Older steps of the newest exchange are left out. A call and its result are never parted.
    """
    sizes = [message_tokens(message) for message in messages]
    over = sum(sizes) - tokens
    found = list(messages)
    places = [place for place, message in enumerate(messages) if isinstance(message, ToolMessage)]
    results = 0
    for place in places[: -KEPT_RESULTS or None]:
        message = found[place]
        if over <= 0 or sizes[place] < MIN_RESULT or not isinstance(message, ToolMessage):
            continue
        how = HOW_TO_READ.format(execution_id=message.execution_id) if pages and message.execution_id else ""
        found[place] = msgspec.structs.replace(message, content=REPLACED.format(how=how))
        over -= sizes[place] - message_tokens(found[place])
        sizes[place] = message_tokens(found[place])
        results += 1
    if over <= 0:
        return Compacted(tuple(found), results)
    people = [place for place, message in enumerate(found) if isinstance(message, UserMessage)]
    newest = max(people, default=0)
    while newest and newest - 1 in people:
        newest -= 1
    cut = _cut(sizes, [place for place in people if place <= newest and place - 1 not in people], over)
    over -= sum(sizes[:cut])
    # The question itself stays: it is what all of the steps are about.
    steps = [place for place in range(newest, len(found)) if isinstance(found[place], AssistantMessage)]
    asked = steps[0] if steps else len(found)
    resumed = _cut(sizes, steps[: -KEPT_STEPS + 1], over, asked) if over > 0 else asked
    left_out = cut + resumed - asked
    if not left_out:
        return Compacted(tuple(found), results)
    note = UserMessage(text=LEFT_OUT.format(count=left_out))
    kept = [*found[cut:asked], *found[resumed:]]
    at = 0 if cut else asked - cut
    return Compacted((*kept[:at], note, *kept[at:]), results, left_out)


def _cut(sizes: Sequence[int], places: Iterable[int], over: int, begin: int = 0) -> int:
    """Return the first of the places before which enough is left out, or the last of them."""
    cut = begin
    for place in places:
        cut = place
        if sum(sizes[begin:place]) >= over:
            break
    return cut
