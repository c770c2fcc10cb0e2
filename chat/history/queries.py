"""Queries of stored conversations: sync functions that fetch everything they return.

Rows of other owners do not exist for a caller. An `owner` of None reads the rows of all owners.
"""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import msgspec
from django.db.models import QuerySet

from audit import chain
from audit.chain import Change
from chat.history.session_search import SessionSearch
from chat.models import Message, Run, RunEvent, Session, TokenCounts
from spending import ledger
from storage.statements import Statement
from web.pages import page

ROWS_AT_ONCE: Final = 200
"""Rows of a log that are in memory at the same time while it is replayed."""


_find_active = Statement("SELECT active_run FROM sessions WHERE id = %s AND owner = %s")


class StoredLog(msgspec.Struct, frozen=True):
    """A stored run's event log: its last number, and whether the run ended or was interrupted."""

    last: int
    ended: bool
    interrupted: bool


def run(run_id: UUID, owner: str) -> dict[str, Any] | None:
    """Return a run as the API shows it, or None if there is no such run."""
    row = Run.objects.filter(id=run_id, session__owner=owner).first()
    if row is None:
        return None
    answers = Message.objects.filter(run=row, role=Message.Role.ASSISTANT).order_by("id")
    return {
        "id": row.id,
        "session_id": row.session_id,
        "status": row.status,
        "reason": row.reason or None,
        "provider": row.provider or None,
        "model": row.model or None,
        "text": "".join(answers.values_list("content", flat=True)),
        "usage": usage(row),
        "cost_usd": _number(row.cost_usd),
        "error": row.error or None,
        "retryable": row.retryable,
        "created": row.created,
        "started": row.started,
        "ended": row.ended,
        "resumed_from": row.resumed_from_id,
        "taint": row.taint or {},
    }


def stored_run(run_id: UUID, owner: str) -> Run | None:
    """Return the row of a run with its session, or None if there is no such run."""
    return Run.objects.select_related("session").filter(id=run_id, session__owner=owner).first()


def has_newer_run(run: Run) -> bool:
    """Return whether the session of a run has a newer one."""
    return Run.objects.filter(session=run.session_id, created__gt=run.created).exists()


def delete_run(run_id: UUID, owner: str) -> UUID | bool:
    """Delete a run with its messages and events. Return True, or False if there is none, or its id if it is active.

    A session that has no other run is deleted with it.
    """
    row = stored_run(run_id, owner)
    if row is None:
        return False
    if row.status in {Run.Status.RUNNING, Run.Status.WAITING}:
        return row.id
    if not Run.objects.filter(session=row.session_id).exclude(id=run_id).exists():
        return delete_session(row.session_id, owner)
    row.delete()
    chain.record(Change(kind="run.deleted", subject=str(run_id), owner=owner, actor=owner))
    return True


def open_runs(owner: str, metadata: Mapping[str, str]) -> list[UUID]:
    """Return the runs of an owner that have not ended, and whose metadata have these fields."""
    opened = Run.objects.filter(session__owner=owner, status__in=(Run.Status.RUNNING, Run.Status.WAITING))
    fields = {f"metadata__{name}": value for name, value in metadata.items()}
    return list(opened.filter(**fields).values_list("id", flat=True))


def owner_of(run_id: UUID) -> str | None:
    """Return the owner of a run, or None if there is no such run."""
    return Run.objects.filter(id=run_id).values_list("session__owner", flat=True).first()


def log(run_id: UUID, owner: str) -> StoredLog | None:
    """Return the log of a run, or None if there is no such run."""
    status = Run.objects.filter(id=run_id, session__owner=owner).values_list("status", flat=True).first()
    if status is None:
        return None
    last = RunEvent.objects.filter(run=run_id).order_by("-first").values_list("last", flat=True).first()
    is_open = status in {Run.Status.RUNNING, Run.Status.WAITING}
    return StoredLog(last or 0, not is_open, status == Run.Status.INTERRUPTED)


def frames_after(run_id: UUID, cursor: int) -> list[tuple[int, int, bytes]]:
    """Return the next stored frames after number `cursor`: the first and last number of each row, and its bytes."""
    rows = RunEvent.objects.filter(run=run_id, last__gt=cursor).order_by("first")
    return [
        (first, last, bytes(frames))
        for first, last, frames in rows.values_list("first", "last", "frames")[:ROWS_AT_ONCE]
    ]


def sessions(owner: str | None, limit: int, offset: int, *, archived: bool = False, search: str = "") -> dict[str, Any]:
    """Return a page of sessions. With a `search`, only those that it finds in a limited time."""
    rows, is_complete = _sessions(owner).filter(archived=archived).order_by("-updated"), True
    if search.strip():
        searched = SessionSearch(owner, search, archived=archived)
        rows = rows.filter(pk__in=searched.keys())
        is_complete = searched.is_complete
    found, count = page(rows, limit, offset)
    return {"items": [_session(row) for row in found], "count": count, "is_complete": is_complete}


def active_run(session_id: UUID, owner: str) -> tuple[UUID | None] | None:
    """Return the active run of a session, if it has one, as the only value; None if there is no such session."""
    rows = _find_active(session_id, owner)
    # SQLite has a UUID as text.
    return (UUID(str(rows[0][0])) if rows[0][0] else None,) if rows else None


def session(session_id: UUID, owner: str | None) -> dict[str, Any] | None:
    row = _sessions(owner).filter(id=session_id).first()
    return _session(row) if row else None


def messages(session_id: UUID, owner: str | None, limit: int, offset: int) -> dict[str, Any] | None:
    """Return a page of a session's messages, the oldest first, or None if there is no such session."""
    if not _sessions(owner).filter(id=session_id).exists():
        return None
    found, count = page(Message.objects.filter(session=session_id).order_by("id"), limit, offset)
    names = ("id", "run_id", "role", "content", "attachments", "tool_calls", "is_error", "summarizes", "created")
    optional = ("call_id", "tool", "provider", "model")
    items = [
        {
            **{name: getattr(row, name) for name in names},
            **{name: getattr(row, name) or None for name in optional},
            # Only an assistant's message and a summary have usage.
            "usage": None if row.input_tokens is None else usage(row),
            "reasoning": (row.provider_parts or {}).get("reasoning") or None,
        }
        for row in found
    ]
    return {"items": items, "count": count}


def change_session(session_id: UUID, owner: str, changes: dict[str, Any]) -> dict[str, Any] | None:
    own = Session.objects.filter(id=session_id, owner=owner)
    if changes:
        own.update(**changes)
    row = own.first()
    return _session(row) if row else None


def delete_session(session_id: UUID, owner: str) -> UUID | bool:
    """Delete a session. Return True, or False if there is none, or the id of the active run that it still has."""
    own = Session.objects.filter(id=session_id, owner=owner)
    active = own.values_list("active_run", flat=True)
    if not active:
        return False
    if active[0] is not None:
        return active[0]
    runs = list(Run.objects.filter(session=session_id).values_list("id", flat=True))
    own.delete()
    gone = [("session.deleted", session_id), *(("run.deleted", run_id) for run_id in runs)]
    chain.record(*(Change(kind=kind, subject=str(one), owner=owner, actor=owner) for kind, one in gone))
    # The accounts of a session have no foreign key to it, so the cascade does not reach them.
    ledger.forget_session(session_id)
    return True


def usage(row: TokenCounts) -> dict[str, Any]:
    return {
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
        "cached_tokens": row.cached_tokens,
        "reasoning_tokens": row.reasoning_tokens,
        "cost_usd": _number(row.cost_usd),
        "estimated": row.estimated,
    }


def _sessions(owner: str | None) -> QuerySet[Session]:
    rows = Session.objects.all()
    return rows if owner is None else rows.filter(owner=owner)


def _session(row: Session) -> dict[str, Any]:
    names = ("id", "owner", "title", "user", "metadata", "active_run", "archived", "created", "updated")
    return {**{name: getattr(row, name) for name in names}, "taint": row.taint or {}}


def _number(cost: Any) -> float | None:
    return None if cost is None else float(cost)
