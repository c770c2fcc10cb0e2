"""The writes of an execution's row: sync functions, each called in a transaction of the writer; and its memory."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from django.db.models import Q
from django.utils import timezone

from kernel.process import holder
from storage.reader import read
from storage.statements import Insert, Update
from tools.base import Source, TaintSource, ToolErrorCode
from tools.execution import entries
from tools.models import ToolExecution

Status = ToolExecution.Status

UNKNOWN_OUTCOME: Final = "The process was stopped while the tool ran; it may or may not have taken effect."
MAX_CALL_AGE: Final = timedelta(days=1)
"""The age at which a call of a process without a lease, such as the command line, counts as over."""

STATUS_OF_CODE = {
    "timed_out": Status.TIMED_OUT,
    "cancelled": Status.CANCELLED,
    "interrupted": Status.INTERRUPTED,
    "denied": Status.DENIED,
    "disabled": Status.DENIED,
}

_insert = Insert(
    ToolExecution,
    "id",
    "owner",
    "session_id",
    "run_id",
    "call_id",
    "tool",
    "source",
    "params",
    "params_sha256",
    "status",
    "confinement",
    "expires",
    "created",
    "started",
    "error",
    "code",
    "output",
    "output_sha256",
    "truncated",
    "decision",
    "decided_by",
    "note",
    "taint",
    "process",
)
# Every update names the status that it expects, so of two that race only one takes effect.
_start = Update(ToolExecution, names=("status", "started", "process"), where=("id", "status"))
_close = Update(
    ToolExecution,
    names=(
        "status",
        "data",
        "error",
        "code",
        "ended",
        "duration_ms",
        "output",
        "output_size",
        "output_sha256",
        "truncated",
    ),
    where=("id", "status"),
)


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """An execution before it starts. If its `status` is that it waits, `expires` is when the time for that ends.

    If it waits for an approval, `taint` is that of its conversation.
    """

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
    status: Status = Status.RUNNING
    expires: datetime | None = None
    taint: Mapping[TaintSource, str] | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of an execution. `code` is None if it succeeded; `output` is the printed text, or an excerpt."""

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
    """Insert the row of an execution that is about to start, or that waits."""
    row = (
        intent.execution_id,
        intent.owner,
        intent.session_id,
        intent.run_id,
        intent.call_id,
        intent.tool,
        intent.source,
        intent.params,
        intent.params_sha256,
        intent.status,
        intent.confinement,
        intent.expires,
        intent.created,
        None if intent.status == Status.AWAITING_APPROVAL else intent.created,
    )
    # The process of a run is that of its own row.
    process = None if intent.run_id or intent.status != Status.RUNNING else holder.name
    _insert([(*row, "", "", "", "", False, "", "", "", intent.taint, process)])
    entries.opened(intent.execution_id, intent.status, intent.source)


def requested_call(execution_id: UUID | str, owner: str) -> tuple[str, Any] | None:
    """Return the tool and the params of an execution; None if the owner has no such execution."""
    return ToolExecution.objects.filter(id=execution_id, owner=owner).values_list("tool", "params").first()


def start_execution(execution_id: UUID, now: datetime) -> bool:
    """Mark an approved execution as running. Return False if it no longer awaits its approval."""
    started = bool(_start((Status.RUNNING, now, holder.name), (execution_id, Status.AWAITING_APPROVAL)))
    if started:
        entries.resumed(execution_id)
    return started


def status_of(code: ToolErrorCode | None) -> "ToolExecution.Status":
    """Return the status of an execution that ended with this code; None is success."""
    return STATUS_OF_CODE.get(code, Status.FAILED) if code else Status.SUCCEEDED


def close_execution(outcome: Outcome, status: "ToolExecution.Status" = Status.RUNNING) -> None:
    """Write the outcome of an execution that is still in `status`."""
    code = outcome.code
    values = (
        status_of(code),
        outcome.data,
        outcome.error,
        code or "",
        outcome.ended,
        outcome.duration_ms,
        outcome.output,
        outcome.output_size,
        outcome.output_sha256,
        outcome.truncated,
    )
    _close.later(values, (outcome.execution_id, status))
    entries.ended(outcome.execution_id, outcome.ended)


def close_awaited(run_id: UUID) -> None:
    """Close the executions of a run that still wait when it has ended."""
    entries.end_rows(
        ToolExecution.objects.filter(run_id=run_id, status__in=ToolExecution.WAITING),
        status=Status.CANCELLED,
        error="The run was stopped while the call waited.",
        code="cancelled",
        ended_at=timezone.now(),
    )


def interrupt_executions(run_id: UUID, now: datetime) -> None:
    """Close the open executions of a run whose process is gone. How far they came is unknown."""
    entries.end_rows(
        ToolExecution.objects.filter(run_id=run_id, status__in=ToolExecution.OPEN),
        status=Status.INTERRUPTED,
        error=UNKNOWN_OUTCOME,
        code="interrupted",
        ended_at=now,
    )


def processes_at_work() -> set[str]:
    """Return the names of the processes with open calls outside of runs."""
    calls = ToolExecution.objects.filter(status=Status.RUNNING, process__isnull=False).order_by()
    return {name for name in calls.values_list("process", flat=True).distinct() if name is not None}


def interrupt_calls(processes: Collection[str], now: datetime) -> int:
    """Close the open calls outside of runs that stopped processes left behind, and return their number."""
    aged = Q(process=None, run_id=None, created__lt=now - MAX_CALL_AGE)
    return entries.end_rows(
        ToolExecution.objects.filter(Q(process__in=processes) | aged, status=Status.RUNNING),
        status=Status.INTERRUPTED,
        error=UNKNOWN_OUTCOME,
        code="interrupted",
        ended_at=now,
    )


class ExecutionMemory:
    """The facts that an execution stores while it runs, which a later call finds after a crash.

    `write` runs a sync function in a transaction.
    """

    def __init__(
        self, execution_id: UUID, owner: str, tool: str, write: Callable[[Callable[[], Any]], Awaitable[Any]]
    ) -> None:
        self._execution_id = execution_id
        self._owner = owner
        self._tool = tool
        self._write = write

    async def remember(self, key: str, fact: str) -> None:
        """Store a fact in the row of the execution. It is committed when this returns."""
        data = {"key": key, "fact": fact}
        row = ToolExecution.objects.filter(id=self._execution_id, status=Status.RUNNING)

        def store() -> None:
            if row.update(data=data):
                entries.remembered(self._execution_id)

        await self._write(store)

    async def recall(self, key: str) -> str | None:
        """Return the fact that the newest interrupted execution of the owner and the tool stored for a key."""
        return await read(self._interrupted, key)

    def _interrupted(self, key: str) -> str | None:
        rows = ToolExecution.objects.filter(owner=self._owner, tool=self._tool, status=Status.INTERRUPTED)
        found = rows.filter(data__key=key).order_by("-created").values_list("data", flat=True).first()
        return None if found is None else str(found["fact"])
