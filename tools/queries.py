"""Queries of tool executions: sync functions that fetch everything they return.

An `owner` sees only its own rows. An `owner` of None sees all rows.
"""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from tools.models import ToolExecution
from web.pages import page

FIELDS = (
    "id",
    "owner",
    "session_id",
    "run_id",
    "tool",
    "source",
    "params",
    "params_sha256",
    "status",
    "data",
    "output",
    "confinement",
    "created",
    "started",
    "ended",
    "duration_ms",
    "output_size",
    "truncated",
    "expires",
    "decided",
)
OPTIONAL = ("error", "code", "output_sha256", "decision", "decided_by", "note")
"""Text columns; the API returns null if one is empty."""


def execution(execution_id: UUID, owner: str | None) -> dict[str, Any] | None:
    """Return an execution as the API shows it; None if the owner has no such execution."""
    row = _owned_by(owner).filter(id=execution_id).first()
    return None if row is None else as_dict(row)


def executions(owner: str | None, filters: dict[str, Any], limit: int, offset: int) -> dict[str, Any]:
    """Return a page of the owner's executions whose columns have the values of `filters`, newest first."""
    rows = _owned_by(owner).filter(**filters)
    found, count = page(rows.order_by("-created"), limit, offset)
    return {"items": [as_dict(row) for row in found], "count": count}


def _owned_by(owner: str | None) -> QuerySet[ToolExecution]:
    rows = ToolExecution.objects.all()
    return rows if owner is None else rows.filter(owner=owner)


def as_dict(row: ToolExecution) -> dict[str, Any]:
    return {
        **{name: getattr(row, name) for name in FIELDS},
        **{name: getattr(row, name) or None for name in OPTIONAL},
        "taint": row.taint or {},
    }


def commands_of_run(run_id: UUID) -> int:
    """Return the number of commands that a run started."""
    return ToolExecution.objects.filter(run_id=run_id, tool="terminal.exec", started__isnull=False).count()
