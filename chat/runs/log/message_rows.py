"""The messages of a session as rows. Sync functions, each part of one transaction of the writer."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.utils import timezone

from chat.engine.events import TotalUsage, Usage
from chat.engine.messages import Entry, Summary, ToolMessage, UserMessage
from chat.engine.retry import Candidate
from chat.models import Attachment
from chat.models import Message as MessageRow
from chat.runs.log import usage_columns
from storage.statements import Insert, Select

_insert = Insert(
    MessageRow,
    "session",
    "run",
    "role",
    "content",
    "attachments",
    "tool_calls",
    "call_id",
    "tool",
    "is_error",
    "provider_parts",
    "summarizes",
    "provider",
    "model",
    "created",
    *usage_columns.NAMES,
)
_newest_ids = Select(MessageRow, "id", where="session")


def add_message(
    session_id: UUID, run_id: UUID, message: Entry, candidate: Candidate | None, usage: Usage | TotalUsage | None
) -> None:
    """Add one message to the conversation. An assistant's message has its model and its usage, and so has a summary."""
    _insert([_row((session_id, run_id), message, candidate, usage, timezone.now())])


def add_user_message(session_id: UUID, run_id: UUID, message: UserMessage, now: datetime) -> None:
    """Add a user message with its pictures."""
    if not message.images:
        _insert([_row((session_id, run_id), message, None, None, now)])
        return
    # The pictures need the message's id, which the prepared statement does not return.
    row = MessageRow(
        session_id=session_id,
        run_id=run_id,
        role=MessageRow.Role.USER,
        content=message.text,
        attachments=len(message.images),
        created=now,
    )
    row.save(force_insert=True)
    Attachment.objects.bulk_create(
        Attachment(message=row, media_type=image.media_type, data=image.data) for image in message.images
    )


def _row(
    ids: tuple[UUID, UUID],
    message: Entry,
    candidate: Candidate | None,
    usage: Usage | TotalUsage | None,
    now: datetime,
) -> Sequence[Any]:
    # From `role` to `summarizes`, in the order of `_insert`.
    content: Sequence[Any]
    if isinstance(message, UserMessage):
        content = ("user", message.text, 0, None, "", "", False, None, None)
    elif isinstance(message, ToolMessage):
        content = ("tool", message.content, 0, None, message.call_id, message.name, message.is_error, None, None)
    elif isinstance(message, Summary):
        content = ("summary", message.text, 0, None, "", "", False, None, _summarized(ids[0], message))
    else:
        calls = msgspec.to_builtins(message.tool_calls) or None
        parts = msgspec.to_builtins(message.provider_parts) if message.provider_parts else None
        content = ("assistant", message.text, 0, calls, "", "", False, parts, None)
    answered_by = (candidate.provider.name, candidate.model) if candidate else ("", "")
    used = usage_columns.values(usage) if usage else usage_columns.UNKNOWN
    return (*ids, *content, *answered_by, now, *used)


def _summarized(session_id: UUID, summary: Summary) -> list[list[int]]:
    """Return the ids of the messages that a summary stands for, as ranges with both ends."""
    ranges: list[list[int]] = []
    continues = False
    places = enumerate(_newest_ids(session_id, summary.rows))
    for place, (number,) in reversed(list(places)):
        stays = place in summary.kept
        if not stays and continues:
            ranges[-1][1] = number
        elif not stays:
            ranges.append([number, number])
        continues = not stays
    return ranges
