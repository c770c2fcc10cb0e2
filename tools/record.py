"""What is written of an execution. Sync functions, each a part of one transaction of the writer."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from tools.base import Source, ToolErrorCode
from tools.models import ToolExecution

STATUS_OF_CODE = {
    "timed_out": ToolExecution.Status.TIMED_OUT,
    "cancelled": ToolExecution.Status.CANCELLED,
    "interrupted": ToolExecution.Status.INTERRUPTED,
    "denied": ToolExecution.Status.DENIED,
    "disabled": ToolExecution.Status.DENIED,
}


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """An execution before it starts."""

    execution_id: UUID
    owner: str
    session_id: UUID | None
    run_id: UUID | None
    call_id: str
    tool: str
    source: Source
    params: Any
    params_sha256: str
    created: datetime


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it; `code` is empty where it succeeded."""

    execution_id: UUID
    data: Any
    error: str
    code: ToolErrorCode | None
    ended: datetime
    duration_ms: float


def open_execution(intent: Intent) -> None:
    ToolExecution.objects.create(
        id=intent.execution_id,
        owner=intent.owner,
        session_id=intent.session_id,
        run_id=intent.run_id,
        call_id=intent.call_id,
        tool=intent.tool,
        source=intent.source,
        params=intent.params,
        params_sha256=intent.params_sha256,
        status=ToolExecution.Status.RUNNING,
        created=intent.created,
    )


def close_execution(outcome: Outcome) -> None:
    """Writes the outcome of an execution that is still open."""
    code = outcome.code
    status = STATUS_OF_CODE.get(code, ToolExecution.Status.FAILED) if code else ToolExecution.Status.SUCCEEDED
    ToolExecution.objects.filter(id=outcome.execution_id, status=ToolExecution.Status.RUNNING).update(
        status=status,
        data=outcome.data,
        error=outcome.error,
        code=code or "",
        ended=outcome.ended,
        duration_ms=outcome.duration_ms,
    )


def interrupt_executions(run_id: UUID, now: datetime) -> None:
    """Closes a run's open executions, whose process is gone: nobody knows how far they came."""
    ToolExecution.objects.filter(run_id=run_id, status=ToolExecution.Status.RUNNING).update(
        status=ToolExecution.Status.INTERRUPTED,
        error="The process was stopped while the tool ran; it may or may not have taken effect.",
        code="interrupted",
        ended=now,
    )
