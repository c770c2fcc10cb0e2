"""Decisions about executions that wait for an approval: sync functions, each called in a transaction.

DecisionRefused         the execution cannot be decided, or no longer, or not with these params
    ExecutionMissing    the owner has no such execution

The API, the command line and the console write a decision into the row. The run that waits reads it from there.
"""

import logging
from datetime import datetime
from functools import partial
from typing import Final, Literal
from uuid import UUID

import msgspec
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from storage import sanitize
from tools.base import Approval, ApprovalDecision
from tools.models import ToolExecution

logger = logging.getLogger(__name__)

Verdict = Literal["approved", "denied"]

MAX_NOTE_CHARS: Final = 2_000


class DecisionRefused(Exception):
    """The execution cannot be decided like this. The `code` is `not_waiting` or `params_mismatch`."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class ExecutionMissing(DecisionRefused):
    """The owner has no such execution. The `code` is `not_found`."""


def decide(
    execution_id: UUID,
    verdict: Verdict,
    *,
    by: str,
    params_sha256: str | None,
    note: str = "",
    owner: str | None = None,
) -> ToolExecution:
    """Record a decision, and return the execution. The same decision again changes nothing. Raises `DecisionRefused`.

    `params_sha256` is the hash of the params that were shown; None if an operator reads the row itself. An `owner` of
    None is an operator, who may decide all executions.
    """
    rows = ToolExecution.objects.filter(id=execution_id)
    own = rows if owner is None else rows.filter(owner=owner)
    row = own.first()
    if row is None:
        raise ExecutionMissing("There is no such execution.", "not_found")
    if params_sha256 is not None and params_sha256 != row.params_sha256:
        raise DecisionRefused(
            f"The params are not those that were shown to you. Their params_sha256 is {row.params_sha256}.",
            "params_mismatch",
        )
    now = timezone.now()
    # Of two decisions at the same time, this conditional update takes only one.
    waiting = own.filter(status=ToolExecution.Status.AWAITING_APPROVAL, decision="", expires__gt=now)
    if not waiting.update(decision=verdict, decided=now, decided_by=by, note=sanitize.text(note, MAX_NOTE_CHARS)):
        row.refresh_from_db()
        if row.decision and row.decision != verdict:
            raise DecisionRefused(f"The execution was {row.decision} already.", "not_waiting")
        if not row.decision:
            is_waiting = row.status == ToolExecution.Status.AWAITING_APPROVAL
            if is_waiting and row.expires and row.expires <= now:
                raise DecisionRefused("The time for a decision is over.", "not_waiting")
            raise DecisionRefused(f"The execution does not await a decision: it is {row.status}.", "not_waiting")
    else:
        fields = {"execution": str(execution_id), "tool": row.tool, "owner": row.owner, "run": str(row.run_id or "")}
        decided = partial(logger.info, "approval.decided", extra={**fields, "decision": verdict, "by": by})
        transaction.on_commit(decided)
    row.refresh_from_db()
    return row


def waiting() -> list[ToolExecution]:
    """Return the executions that await a decision, oldest first."""
    return list(_undecided().order_by("created"))


def is_waiting(execution_id: UUID) -> bool:
    """Return whether the execution awaits a decision."""
    return _undecided().filter(id=execution_id).exists()


def count_waiting() -> int:
    """Return the number of executions that await a decision."""
    return _undecided().count()


def settle(execution_id: UUID, now: datetime, *, cancelled: bool = False) -> Approval | None:
    """Return the decision about an execution that waited; None while it still waits.

    After the end of its time it is expired. If its run is `cancelled`, so is the execution.
    """
    rows = ToolExecution.objects.filter(id=execution_id)
    waiting = rows.filter(status=ToolExecution.Status.AWAITING_APPROVAL)
    if cancelled:
        # This also withdraws an approval whose tool has not started.
        waiting.update(decision=ToolExecution.Decision.CANCELLED, decided=now)
    else:
        late = waiting.filter(decision="", expires__lte=now)
        if late.update(decision=ToolExecution.Decision.EXPIRED, decided=now):
            expired = partial(logger.info, "approval.expired", extra={"execution": str(execution_id)})
            transaction.on_commit(expired)
    row = rows.first()
    if row is None:
        # The row was pruned, so nothing can approve it any more.
        return Approval(execution_id=str(execution_id), decision="expired", params_sha256="")
    if not row.decision:
        return None
    return Approval(
        execution_id=str(row.id),
        decision=msgspec.convert(row.decision, ApprovalDecision),
        params_sha256=row.params_sha256,
        note=row.note,
        by=row.decided_by,
    )


def has_expired(now: datetime) -> bool:
    """Return whether executions outside of runs wait although their time is over."""
    return _expired(now).exists()


def close_expired(now: datetime) -> int:
    """Close the executions outside of runs that wait although their time is over, and return their number.

    No run continues them, and their caller has not come back.
    """
    expired = _expired(now)
    expired.filter(decision="").update(decision=ToolExecution.Decision.EXPIRED, decided=now)
    error = "The time for a decision is over, and the caller has not continued the call."
    return expired.update(status=ToolExecution.Status.DENIED, code="denied", error=error, ended=now)


def _expired(now: datetime) -> "QuerySet[ToolExecution]":
    waiting = ToolExecution.objects.filter(status=ToolExecution.Status.AWAITING_APPROVAL, run_id=None)
    return waiting.filter(expires__lte=now)


def _undecided() -> "QuerySet[ToolExecution]":
    return ToolExecution.objects.filter(status=ToolExecution.Status.AWAITING_APPROVAL, decision="")
