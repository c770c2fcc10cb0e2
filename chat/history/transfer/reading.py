"""The records of a stored session, page by page: sync functions that fetch everything they return."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Final
from uuid import UUID

import msgspec

from chat.history.transfer.records import Called, MessageRecord, Picture, Role, SessionRecord, Used
from chat.models import Message, Session

MESSAGES_A_PAGE: Final = 100


class SessionReader:
    """Reads a session. `head` is None if the owner has no such session; an `owner` of None reads that of anyone.

    Messages after the one with the id `up_to` are left out.
    """

    def __init__(self, session_id: UUID, owner: str | None, up_to: int | None = None) -> None:
        self._session_id = session_id
        self._owner = owner
        self._up_to = up_to
        # The ids of the messages so far, by which the ranges of summaries become places.
        self._ids: list[int] = []

    def head(self) -> SessionRecord | None:
        """Return the head of the session."""
        rows = Session.objects.filter(id=self._session_id)
        row = (rows if self._owner is None else rows.filter(owner=self._owner)).first()
        if row is None:
            return None
        return SessionRecord(
            title=row.title, user=row.user, metadata=row.metadata, taint=row.taint or {}, created=row.created
        )

    def page(self) -> list[MessageRecord]:
        """Return the next messages, or an empty list at the end."""
        rows = Message.objects.filter(session=self._session_id, id__gt=self._ids[-1] if self._ids else 0)
        if self._up_to is not None:
            rows = rows.filter(id__lte=self._up_to)
        found = list(rows.order_by("id").prefetch_related("pictures")[:MESSAGES_A_PAGE])
        return [self._record(row) for row in found]

    def messages(self) -> Iterator[MessageRecord]:
        """Yield all messages."""
        while page := self.page():
            yield from page

    def _record(self, row: Message) -> MessageRecord:
        # A message that a summary stood for may have been deleted with its run.
        ranges = [
            (bisect_left(self._ids, first), bisect_right(self._ids, last) - 1) for first, last in row.summarizes or ()
        ]
        self._ids.append(row.id)
        usage = None
        if row.input_tokens is not None and row.output_tokens is not None:
            usage = Used(
                input_tokens=row.input_tokens,
                output_tokens=row.output_tokens,
                cached_tokens=row.cached_tokens or 0,
                reasoning_tokens=row.reasoning_tokens or 0,
                cost_usd=None if row.cost_usd is None else float(row.cost_usd),
                estimated=row.estimated,
            )
        return MessageRecord(
            role=msgspec.convert(row.role, type=Role),
            content=row.content,
            created=row.created,
            pictures=tuple(
                Picture(media_type=one.media_type, data=bytes(one.data))
                for one in row.pictures.all()
                if row.attachments
            ),
            tool_calls=msgspec.convert(row.tool_calls or (), tuple[Called, ...]),
            call_id=row.call_id,
            tool=row.tool,
            is_error=row.is_error,
            summarizes=tuple(found for found in ranges if found[0] <= found[1]),
            provider=row.provider,
            model=row.model,
            usage=usage,
            provider_parts=row.provider_parts,
        )
