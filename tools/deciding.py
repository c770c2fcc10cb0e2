"""Deciding what waits, for callers of the API."""

from functools import partial
from typing import Any
from uuid import UUID

from access.refusal import Refusal
from storage.writer import writer
from tools import approvals, records
from tools.models import ToolExecution


async def decide(
    owner: str, execution_id: UUID, verdict: approvals.Verdict, *, params_sha256: str, note: str
) -> dict[str, Any]:
    """The execution, once the decision is written down. Raises `Refusal` (404, 409), `StorageUnavailable`."""
    decision = partial(
        approvals.decide,
        execution_id,
        verdict,
        by=owner,
        params_sha256=params_sha256,
        note=note,
        owner=owner,
    )
    try:
        row: ToolExecution = await writer.write(decision)
    except approvals.DecisionRefused as error:
        status = 404 if isinstance(error, approvals.ExecutionMissing) else 409
        raise Refusal(status, error.code, str(error)) from None
    return records.told(row)
