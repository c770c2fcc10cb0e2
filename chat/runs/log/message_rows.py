"""What is said in a session, as rows. Sync functions, each a part of one transaction of the writer."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.utils import timezone

from chat.engine.events import Usage
from chat.engine.messages import AssistantMessage, Image, Message, ToolMessage, UserMessage
from chat.engine.retry import Candidate
from chat.models import Attachment
from chat.models import Message as MessageRow
from chat.runs.log import usage_columns
from storage.statements import Insert

_insert = Insert(
    MessageRow,
    *("session", "run", "role", "content", "attachments", "tool_calls", "call_id", "tool", "is_error"),
    *("provider_parts", "provider", "model", "created"),
    *usage_columns.NAMES,
)


def say(session_id: UUID, run_id: UUID, message: Message, candidate: Candidate | None, usage: Usage | None) -> None:
    """Adds one message to the conversation: an assistant's with who wrote it, and what that took."""
    _insert([_row((session_id, run_id), message, candidate, usage, timezone.now())])


def say_user(session_id: UUID, run_id: UUID, message: UserMessage, now: datetime) -> None:
    """Adds what the user said, with its pictures."""
    if not message.images:
        _insert([_row((session_id, run_id), message, None, None, now)])
        return
    row = MessageRow(
        session_id=session_id,
        run_id=run_id,
        role=MessageRow.Role.USER,
        content=message.text,
        attachments=len(message.images),
        created=now,
    )
    row.save(force_insert=True)
    Attachment.objects.bulk_create([_attachment(row, image) for image in message.images])


def _attachment(row: MessageRow, image: Image) -> Attachment:
    return Attachment(message=row, media_type=image.media_type, data=image.data)


def _row(
    where: tuple[UUID, UUID], message: Message, candidate: Candidate | None, usage: Usage | None, now: datetime
) -> Sequence[Any]:
    wrote = (candidate.provider.name, candidate.model) if candidate else ("", "")
    took = usage_columns.values(usage) if usage else usage_columns.UNKNOWN
    return (*where, *_said(message), *wrote, now, *took)


def _said(message: Message) -> Sequence[Any]:
    """role, content, attachments, tool_calls, call_id, tool, is_error, provider_parts"""
    if isinstance(message, UserMessage):
        return ("user", message.text, 0, None, "", "", False, None)
    if isinstance(message, ToolMessage):
        return ("tool", message.content, 0, None, message.call_id, message.name, message.is_error, None)
    calls = msgspec.to_builtins(message.tool_calls) or None
    return ("assistant", message.text, 0, calls, "", "", False, _parts(message))


def _parts(message: AssistantMessage) -> Any:
    return msgspec.to_builtins(message.provider_parts) if message.provider_parts else None
