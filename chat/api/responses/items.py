"""The input items of a response, as messages of the conversation."""

from collections.abc import Sequence
from itertools import takewhile
from typing import Final

import msgspec

from chat.api.images import image_of_url
from chat.api.responses.schemas import (
    ApprovalItem,
    CallItem,
    CallOutputItem,
    Content,
    InputItem,
    ItemImage,
    ItemText,
    MessageItem,
)
from chat.engine.messages import AssistantMessage, Message, ToolCall, ToolMessage, UserMessage
from web.errors import ApiError

NO_OUTPUT: Final = "failed: The tool has no result."
Answer = CallOutputItem | ApprovalItem


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """The messages of an input. `instructions` are the texts of its system messages."""

    instructions: tuple[str, ...]
    messages: tuple[Message, ...]


def answers(items: Sequence[InputItem]) -> list[Answer]:
    """Return the client's answers at the end of the input: results of functions, and decisions."""
    last = takewhile(lambda item: isinstance(item, CallOutputItem | ApprovalItem), reversed(items))
    return [item for item in last if isinstance(item, CallOutputItem | ApprovalItem)][::-1]


def conversation(items: Sequence[InputItem]) -> Conversation:
    """Return the messages of an input. Raise `ApiError` (422)."""
    instructions: list[str] = []
    messages: list[Message] = []
    names: dict[str, str] = {}
    for place, item in enumerate(items):
        field = f"input.{place}"
        if isinstance(item, MessageItem):
            text = text_of(item.content)
            if item.role in {"system", "developer"}:
                instructions.append(text)
            elif item.role == "assistant":
                messages.append(AssistantMessage(text=text))
            else:
                parts = item.content if isinstance(item.content, list) else []
                pictures = (image_of_url(part.image_url, field) for part in parts if isinstance(part, ItemImage))
                messages.append(UserMessage(text=text, images=tuple(pictures)))
        elif isinstance(item, CallItem):
            call_id = item.call_id or item.id or field
            names[call_id] = item.name
            _add_call(messages, ToolCall(call_id=call_id, name=item.name, arguments=item.arguments))
            if item.type == "mcp_call":
                failed = item.output is None
                content = NO_OUTPUT if item.output is None else item.output
                messages.append(ToolMessage(call_id=call_id, name=item.name, content=content, is_error=failed))
        elif isinstance(item, CallOutputItem):
            if item.call_id not in names:
                problem = f"{field}: call_id names no function_call before it"
                raise ApiError(422, "invalid_field", f"{problem}. Send the call too, or previous_response_id.")
            name = names[item.call_id]
            messages.append(ToolMessage(call_id=item.call_id, name=name, content=text_of(item.output)))
    return Conversation(instructions=tuple(instructions), messages=tuple(messages))


def _add_call(messages: list[Message], call: ToolCall) -> None:
    """Add a call to the assistant's message before it. The calls of one answer are one message."""
    last = messages[-1] if messages else None
    if isinstance(last, AssistantMessage):
        messages[-1] = msgspec.structs.replace(last, tool_calls=(*last.tool_calls, call))
    else:
        messages.append(AssistantMessage(text="", tool_calls=(call,)))


def text_of(content: Content) -> str:
    """Return the text of a message or a result."""
    if isinstance(content, str):
        return content
    return "".join(part.text or part.refusal for part in content if isinstance(part, ItemText))
