"""Results that clients give for their tools: sync functions, each called in a transaction.

ResultRefused           the execution does not take this result, or no longer
    ExecutionMissing    the owner has no such execution

A result closes the row of its execution. The run that waits reads it from there.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from django.db.models import QuerySet
from django.utils import timezone

from spending import ledger
from spending.ledger import Used
from tools.base import ClientResults, Failed, Succeeded, ToolErrorCode
from tools.execution import entries
from tools.execution.rows import Outcome, status_of
from tools.models import ToolExecution

Status = ToolExecution.Status

MAX_ERROR_CHARS: Final = 10_000

EXPIRED: Final = "The client did not give a result in time."
CANCELLED: Final = "The run was cancelled while the call waited for the client."


class ResultRefused(Exception):
    """The execution does not take this result. The `code` is `not_waiting`, `already_answered` or `too_late`."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class ExecutionMissing(ResultRefused):
    """The owner has no such execution. The `code` is `not_found`."""


def checked(execution_id: UUID, owner: str, result_sha256: str) -> ToolExecution:
    """Return an execution that waits for a result, or that has this one already. Raises `ResultRefused`."""
    row = ToolExecution.objects.filter(id=execution_id, owner=owner).first()
    if row is None:
        raise ExecutionMissing("There is no such execution.", "not_found")
    if row.result_sha256 == result_sha256:
        return row
    if row.result_sha256:
        raise ResultRefused("The execution has another result already.", "already_answered")
    if row.status == Status.AWAITING_CLIENT:
        if row.expires and row.expires <= timezone.now():
            raise ResultRefused("The time for a result is over.", "too_late")
        return row
    # Only what waited has a time at which it expires.
    code = "too_late" if row.expires and row.ended else "not_waiting"
    raise ResultRefused(f"The execution does not wait for a result from the client: it is {row.status}.", code)


def give(outcome: Outcome, used: Used, owner: str, result_sha256: str) -> ToolExecution:
    """Store a result, and return the execution. The same result again changes nothing. Raises `ResultRefused`."""
    waiting = _waiting().filter(id=outcome.execution_id, owner=owner, expires__gt=outcome.ended)
    # Of two results at the same time, this conditional update takes only one.
    given = entries.end_rows(
        waiting,
        actor=owner,
        status=status_of(outcome.code),
        data=outcome.data,
        error=outcome.error,
        code=outcome.code or "",
        ended_at=outcome.ended,
        duration_ms=outcome.duration_ms,
        output_size=outcome.output_size,
        output_sha256=outcome.output_sha256,
        truncated=outcome.truncated,
        result_sha256=result_sha256,
    )
    if given:
        ledger.add([used], outcome.ended)
    return checked(outcome.execution_id, owner, result_sha256)


def settle(execution_ids: Sequence[UUID], now: datetime, *, cancelled: bool = False) -> ClientResults | None:
    """Return the outcomes of executions that waited; None while one of them still waits.

    After the end of its time, an execution has timed out. If the run is `cancelled`, so are those that wait.
    """
    waiting = _waiting().filter(id__in=execution_ids)
    if cancelled:
        entries.end_rows(waiting, status=Status.CANCELLED, error=CANCELLED, code="cancelled", ended_at=now)
    else:
        late = waiting.filter(expires__lte=now)
        entries.end_rows(late, status=Status.TIMED_OUT, error=EXPIRED, code="timed_out", ended_at=now)
    if waiting.exists():
        return None
    rows = ToolExecution.objects.in_bulk(execution_ids)
    return ClientResults(outcomes=tuple(_outcome(rows.get(one)) for one in execution_ids), cancelled=cancelled)


def waiting_of(run_id: UUID) -> frozenset[str]:
    """Return the ids of the executions of a run that wait for results."""
    return frozenset(map(str, _waiting().filter(run_id=run_id).values_list("id", flat=True)))


def run_waiting_for(execution_ids: Collection[UUID], owner: str) -> UUID | None:
    """Return the owner's run that waits for the results of exactly these executions; None if there is none."""
    run_id = _waiting().filter(id__in=execution_ids, owner=owner).values_list("run_id", flat=True).first()
    if run_id is None or waiting_of(run_id) != frozenset(map(str, execution_ids)):
        return None
    return run_id


def runs_of(execution_ids: Collection[UUID], owner: str) -> frozenset[UUID | None]:
    """Return the runs of an owner's executions; with None if one of them does not exist, or has no run."""
    found = dict(ToolExecution.objects.filter(id__in=execution_ids, owner=owner).values_list("id", "run_id"))
    return frozenset(found.get(execution_id) for execution_id in execution_ids)


def count_waiting() -> int:
    """Return the number of executions that wait for results."""
    return _waiting().count()


def _waiting() -> QuerySet[ToolExecution]:
    return ToolExecution.objects.filter(status=Status.AWAITING_CLIENT)


def _outcome(row: ToolExecution | None) -> Succeeded | Failed:
    if row is None:
        # The row was pruned, and its result with it.
        return Failed(error=EXPIRED, code="timed_out")
    if row.code:
        return Failed(error=row.error, code=msgspec.convert(row.code, ToolErrorCode))
    # A text is read as it is: in JSON, its quotes and line ends would be escaped.
    content = row.data if isinstance(row.data, str) else msgspec.json.encode(row.data).decode()
    if row.output_size:
        whole = f"the whole result has {row.output_size} bytes, as the output of execution {row.id}"
        content = f"{content}\n[... shortened: {whole} ...]"
    return Succeeded(data=row.data, content=content)
