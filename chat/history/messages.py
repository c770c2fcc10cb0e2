"""A session's history, as the engine's messages."""

from collections import defaultdict
from typing import Any, Final
from uuid import UUID

import msgspec

from chat.engine.messages import AssistantMessage, Image, Message, ProviderParts, ToolCall, ToolMessage, UserMessage
from chat.models import Attachment
from chat.models import Message as Row
from storage.statements import Select

MAX_MESSAGES: Final = 4_000
"""The newest messages that are looked at; what a model takes of them is the engine's to cut."""

_newest = Select(
    Row,
    *("id", "role", "content", "attachments", "tool_calls", "call_id", "tool", "is_error", "provider_parts"),
    where="session",
)


def history(session_id: UUID) -> tuple[Message, ...]:
    """What was said in the session, the oldest first."""
    rows = _newest(session_id, MAX_MESSAGES)
    images = _images([row[0] for row in rows if row[3]])
    return tuple(_message(row, images) for row in reversed(rows))


def _message(row: tuple[Any, ...], images: dict[int, tuple[Image, ...]]) -> Message:
    number, role, content, attachments, tool_calls, call_id, tool, is_error, parts = row
    if role == Row.Role.USER:
        return UserMessage(text=content, images=images[number] if attachments else ())
    if role == Row.Role.TOOL:
        return ToolMessage(call_id=call_id, name=tool, content=content, is_error=bool(is_error))
    return AssistantMessage(
        text=content,
        tool_calls=msgspec.json.decode(tool_calls, type=tuple[ToolCall, ...]) if tool_calls else (),
        provider_parts=msgspec.json.decode(parts, type=ProviderParts) if parts else None,
    )


def _images(messages: list[int]) -> dict[int, tuple[Image, ...]]:
    found: defaultdict[int, tuple[Image, ...]] = defaultdict(tuple)
    if messages:
        for picture in Attachment.objects.filter(message__in=messages).order_by("id"):
            found[picture.message_id] += (Image(media_type=picture.media_type, data=bytes(picture.data)),)
    return found
