"""A session from records: one transaction, called by the writer."""

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import JSONField, Model
from django.utils import timezone

from chat.history.transfer.records import MessageRecord, SessionRecord
from chat.models import Attachment, Message, Run, Session
from storage import sanitize
from storage.ids import new_id


def store_session(
    head: SessionRecord, messages: Iterable[MessageRecord], owner: str, key: UUID | None, source: dict[str, Any]
) -> UUID:
    """Store a session of the owner, and return its id. `source` says where it comes from.

    Its messages belong to a run that has ended, because every message belongs to one.
    """
    now = timezone.now()
    session = Session(
        id=new_id(),
        owner=owner,
        user=head.user,
        title=head.title,
        metadata=head.metadata,
        taint=head.taint or None,
        created=now,
        updated=now,
    )
    _fitted(session)
    session.save(force_insert=True)
    run = Run(
        id=new_id(),
        session=session,
        key=key,
        status=Run.Status.COMPLETED,
        reason="completed",
        provider="",
        model="",
        process="",
        options={"on_disconnect": "continue", **source},
        taint=head.taint or None,
        created=now,
        started=now,
        ended=now,
    )
    run.save(force_insert=True)
    ids: list[int] = []
    for record in messages:
        row = _row(session, run, record, ids)
        _fitted(row)
        row.save(force_insert=True)
        ids.append(row.id)
        Attachment.objects.bulk_create(
            Attachment(message=row, media_type=picture.media_type, data=picture.data) for picture in record.pictures
        )
    return session.id


def _row(session: Session, run: Run, record: MessageRecord, ids: list[int]) -> Message:
    calls = [{"call_id": one.call_id, "name": one.name, "arguments": one.arguments} for one in record.tool_calls]
    used = record.usage
    return Message(
        session=session,
        run=run,
        role=record.role,
        content=record.content,
        attachments=len(record.pictures),
        tool_calls=calls or None,
        call_id=record.call_id,
        tool=record.tool,
        is_error=record.is_error,
        provider_parts=record.provider_parts,
        summarizes=[[ids[first], ids[last]] for first, last in record.summarizes] or None,
        provider=record.provider,
        model=record.model,
        created=record.created or timezone.now(),
        input_tokens=used.input_tokens if used else None,
        output_tokens=used.output_tokens if used else None,
        cached_tokens=used.cached_tokens if used else None,
        reasoning_tokens=used.reasoning_tokens if used else None,
        cost_usd=None if used is None or used.cost_usd is None else Decimal(str(used.cost_usd)),
        estimated=used.estimated if used else False,
    )


def _fitted(row: Model) -> None:
    """Make every value storable in any database: NUL, half surrogate pairs, lengths and ranges."""
    for field in row._meta.concrete_fields:
        value = getattr(row, field.attname)
        if value is None or (fit := sanitize.sanitizer(field)) is None:
            continue
        # A sanitizer of JSON returns its text.
        setattr(row, field.attname, json.loads(fit(value)) if isinstance(field, JSONField) else fit(value))
