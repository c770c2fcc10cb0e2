"""Decisions about waiting executions, for callers of the API."""

from functools import partial
from typing import Any
from uuid import UUID

from storage.writer import writer
from tools import queries
from tools.approvals import decisions
from tools.models import ToolExecution
from web.errors import ApiError


async def decide(
    owner: str, execution_id: UUID, verdict: decisions.Verdict, *, params_sha256: str, note: str
) -> dict[str, Any]:
    """Record a decision, and return the execution. Raises `ApiError` (404, 409) and `StorageUnavailable`."""
    decision = partial(
        decisions.decide,
        execution_id,
        verdict,
        by=owner,
        params_sha256=params_sha256,
        note=note,
        owner=owner,
    )
    try:
        row: ToolExecution = await writer.write(decision)
    except decisions.DecisionRefused as error:
        status = 404 if isinstance(error, decisions.ExecutionMissing) else 409
        raise ApiError(status, error.code, str(error)) from None
    return queries.as_dict(row)
