"""The history of a session, as the engine's messages."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from django.db.models import Max

from chat.engine.messages import (
    AssistantMessage,
    Entry,
    History,
    Image,
    Message,
    ProviderParts,
    Summary,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from chat.models import Attachment
from chat.models import Message as Row
from chat.runs.log.taint_columns import taint_of_session
from storage.statements import Select
from tools.base import TaintSource

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
    "summarizes",
    where="session",
)


def history(session_id: UUID) -> History:
    """Return the conversation of a session: its messages, with its newest summary in place of those it stands for."""
    return _history(_newest(session_id, MAX_MESSAGES))


def conversation_of(session_id: UUID) -> tuple[History, dict[TaintSource, str]]:
    """Return the conversation of a session, and its taint."""
    return history(session_id), taint_of_session(session_id)


def messages_up_to(session_id: UUID, run_id: UUID) -> tuple[Message, ...]:
    """Return the messages of a session up to those of a run, without summaries."""
    last = Row.objects.filter(session=session_id, run=run_id).aggregate(last=Max("id"))["last"] or 0
    rows = [row for row in _newest(session_id, MAX_MESSAGES) if row[0] <= last and row[1] != Row.Role.SUMMARY]
    return tuple(entry for entry in _history(rows).entries if not isinstance(entry, Summary))


def messages_of_request(run_id: UUID) -> tuple[Message, ...]:
    """Return the messages that came with the request for a run: those before the first answer of its models."""
    rows = Row.objects.filter(run=run_id).order_by("id")
    answer = rows.filter(role=Row.Role.ASSISTANT, input_tokens__isnull=False).values_list("id", flat=True).first()
    session_id = rows.values_list("session", flat=True).first()
    if session_id is None:
        return ()
    before = rows if answer is None else rows.filter(id__lt=answer)
    numbers = frozenset(before.exclude(role=Row.Role.SUMMARY).values_list("id", flat=True))
    entries = _history([row for row in _newest(session_id, MAX_MESSAGES) if row[0] in numbers]).entries
    return tuple(entry for entry in entries if not isinstance(entry, Summary))


def _history(rows: list[tuple[Any, ...]]) -> History:
    """Return the conversation of these rows, which are the newest first."""
    images: defaultdict[int, tuple[Image, ...]] = defaultdict(tuple)
    if with_images := [row[0] for row in rows if row[3]]:
        for picture in Attachment.objects.filter(message__in=with_images).order_by("id"):
            images[picture.message_id] += (Image(media_type=picture.media_type, data=bytes(picture.data)),)
    rows.reverse()
    summaries = [place for place, row in enumerate(rows) if row[1] == Row.Role.SUMMARY]
    places = range(len(rows)) if not summaries else _places(rows, summaries[-1])
    return History(entries=tuple(_entry(rows[place], images) for place in places), places=tuple(places), rows=len(rows))


def _places(rows: Sequence[tuple[Any, ...]], summary: int) -> list[int]:
    """Return the places of the rows that a model reads, with a summary behind the messages that it stands for."""
    ranges: list[tuple[int, int]] = msgspec.json.decode(rows[summary][-1])
    stay: list[int] = []
    before = 0
    for place, (number, role, *_) in enumerate(rows):
        if role == Row.Role.SUMMARY:
            # An older summary was stored behind messages that stay.
            continue
        if any(start <= number <= end for start, end in ranges):
            before = len(stay)
        else:
            stay.append(place)
    return [*stay[:before], summary, *stay[before:]]


def _entry(row: tuple[Any, ...], images: Mapping[int, tuple[Image, ...]]) -> Entry:
    number, role, content, _, tool_calls, call_id, tool, is_error, parts, _ = row
    if role == Row.Role.USER:
        return UserMessage(text=content, images=images.get(number, ()))
    if role == Row.Role.TOOL:
        return ToolMessage(call_id=call_id, name=tool, content=content, is_error=bool(is_error))
    if role == Row.Role.SUMMARY:
        return Summary(text=content)
    return AssistantMessage(
        text=content,
        tool_calls=msgspec.json.decode(tool_calls, type=tuple[ToolCall, ...]) if tool_calls else (),
        provider_parts=msgspec.json.decode(parts, type=ProviderParts) if parts else None,
    )
