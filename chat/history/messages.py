"""The history of a session, as the engine's messages."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import msgspec

from chat.engine.messages import AssistantMessage, Image, Message, ProviderParts, ToolCall, ToolMessage, UserMessage
from chat.models import Attachment
from chat.models import Message as Row
from storage.statements import Select

MAX_MESSAGES: Final = 4_000
"""The newest messages that are read. The engine cuts them to the model's context."""

# A whole history is read before every turn, so its rows stay plain tuples instead of model instances.
_newest = Select(
    Row,
    "id",
    "role",
    "content",
    "attachments",
    "tool_calls",
    "call_id",
    "tool",
    "is_error",
    "provider_parts",
    where="session",
)


def history(session_id: UUID) -> tuple[Message, ...]:
    """Return the messages of a session, the oldest first."""
    rows = _newest(session_id, MAX_MESSAGES)
    images: defaultdict[int, tuple[Image, ...]] = defaultdict(tuple)
    if with_images := [row[0] for row in rows if row[3]]:
        for picture in Attachment.objects.filter(message__in=with_images).order_by("id"):
            images[picture.message_id] += (Image(media_type=picture.media_type, data=bytes(picture.data)),)
    return tuple(_message(row, images) for row in reversed(rows))


def _message(row: tuple[Any, ...], images: Mapping[int, tuple[Image, ...]]) -> Message:
    number, role, content, _, tool_calls, call_id, tool, is_error, parts = row
    if role == Row.Role.USER:
        return UserMessage(text=content, images=images.get(number, ()))
    if role == Row.Role.TOOL:
        return ToolMessage(call_id=call_id, name=tool, content=content, is_error=bool(is_error))
    return AssistantMessage(
        text=content,
        tool_calls=msgspec.json.decode(tool_calls, type=tuple[ToolCall, ...]) if tool_calls else (),
        provider_parts=msgspec.json.decode(parts, type=ProviderParts) if parts else None,
    )
