"""What is written of an execution. Sync functions, each a part of one transaction of the writer."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.utils import timezone

from storage.statements import Insert, Update
from tools.base import Source, ToolErrorCode
from tools.models import ToolExecution

Status = ToolExecution.Status

STATUS_OF_CODE = {
    "timed_out": Status.TIMED_OUT,
    "cancelled": Status.CANCELLED,
    "interrupted": Status.INTERRUPTED,
    "denied": Status.DENIED,
    "disabled": Status.DENIED,
}

_insert = Insert(
    ToolExecution,
    *("id", "owner", "session_id", "run_id", "call_id", "tool", "source", "params", "params_sha256", "status"),
    *("confinement", "expires", "created", "started"),
    *("error", "code", "output", "output_sha256", "truncated", "decision", "decided_by", "note"),
)
_start = Update(ToolExecution, names=("status", "started"), where=("id", "status"))
_close = Update(
    ToolExecution,
    names=(
        *("status", "data", "error", "code", "ended", "duration_ms"),
        *("output", "output_size", "output_sha256", "truncated"),
    ),
    where=("id", "status"),
)


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """An execution before it starts; `expires` is until when it may be approved, where it has to be."""

    execution_id: UUID
    owner: str
    session_id: UUID | None
    run_id: UUID | None
    call_id: str
    tool: str
    source: Source
    params: Any
    params_sha256: str
    confinement: str
    created: datetime
    expires: datetime | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. `code` is None where it succeeded; `output` is what was printed, or its head and tail."""

    execution_id: UUID
    data: Any
    error: str
    code: ToolErrorCode | None
    ended: datetime
    duration_ms: float
    output: str = ""
    output_size: int | None = None
    output_sha256: str = ""
    truncated: bool = False


def open_execution(intent: Intent) -> None:
    """Writes what is about to happen, or what awaits approval."""
    status = Status.AWAITING_APPROVAL if intent.expires else Status.RUNNING
    who = (intent.execution_id, intent.owner, intent.session_id, intent.run_id, intent.call_id)
    what = (intent.tool, intent.source, intent.params, intent.params_sha256, status, intent.confinement)
    when = (intent.expires, intent.created, None if intent.expires else intent.created)
    _insert([(*who, *what, *when, "", "", "", "", False, "", "", "")])


def start_execution(execution_id: UUID, now: datetime) -> bool:
    """An approved execution is about to start. False where it awaits approval no more."""
    return bool(_start((Status.RUNNING, now), (execution_id, Status.AWAITING_APPROVAL)))


def close_execution(outcome: Outcome, status: "ToolExecution.Status" = Status.RUNNING) -> None:
    """Writes the outcome of an execution that is still open, which is to say in `status`."""
    code = outcome.code
    became = STATUS_OF_CODE.get(code, Status.FAILED) if code else Status.SUCCEEDED
    told = (became, outcome.data, outcome.error, code or "", outcome.ended, outcome.duration_ms)
    output = (outcome.output, outcome.output_size, outcome.output_sha256, outcome.truncated)
    _close.later((*told, *output), (outcome.execution_id, status))


def close_awaited(execution_id: UUID) -> None:
    """Closes an execution that awaits approval, and whose run has ended."""
    ToolExecution.objects.filter(id=execution_id, status=Status.AWAITING_APPROVAL).update(
        status=Status.CANCELLED,
        error="The run was stopped while the tool waited for an approval.",
        code="cancelled",
        ended=timezone.now(),
    )


def interrupt_executions(run_id: UUID, now: datetime) -> None:
    """Closes a run's open executions, whose process is gone: nobody knows how far they came."""
    ToolExecution.objects.filter(run_id=run_id, status__in=[Status.RUNNING, Status.AWAITING_APPROVAL]).update(
        status=Status.INTERRUPTED,
        error="The process was stopped while the tool ran; it may or may not have taken effect.",
        code="interrupted",
        ended=now,
    )
