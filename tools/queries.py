"""What is read of executions: sync functions that fetch all they return.

Others' rows do not exist; an `owner` that is None reads everybody's.
"""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from tools.models import ToolExecution

FIELDS = (
    *("id", "owner", "session_id", "run_id", "tool", "source", "params", "params_sha256", "status", "data", "output"),
    *("confinement", "created", "started", "ended", "duration_ms", "output_size", "truncated", "expires", "decided"),
)
OPTIONAL = ("error", "code", "output_sha256", "decision", "decided_by", "note")
"""Texts that are empty where there is nothing to tell; the API gives null then."""


def execution(execution_id: UUID, owner: str | None) -> dict[str, Any] | None:
    """An execution as the API tells of it, or None."""
    row = _of(owner).filter(id=execution_id).first()
    return None if row is None else as_dict(row)


def executions(owner: str | None, wanted: dict[str, Any], limit: int, offset: int) -> dict[str, Any]:
    """The owner's executions with these values, the newest first."""
    rows = _of(owner).filter(**wanted)
    page = rows.order_by("-created")[offset : offset + limit]
    return {"items": [as_dict(row) for row in page], "count": rows.count()}


def _of(owner: str | None) -> QuerySet[ToolExecution]:
    rows = ToolExecution.objects.all()
    return rows if owner is None else rows.filter(owner=owner)


def as_dict(row: ToolExecution) -> dict[str, Any]:
    return {
        **{name: getattr(row, name) for name in FIELDS},
        **{name: getattr(row, name) or None for name in OPTIONAL},
    }
