"""Deciding what waits: from the API, the command line and the console. Sync functions, each part of a transaction.

DecisionRefused         it cannot be decided (any more), or not like this
    ExecutionMissing    there is no such execution of this owner's

The decision is written down here; the run that waits takes it from there.
"""

from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec
from django.utils import timezone

from storage import sanitize
from tools.base import Approval, ApprovalDecision
from tools.models import ToolExecution

Verdict = Literal["approved", "denied"]

MAX_NOTE_CHARS: Final = 2_000


class DecisionRefused(Exception):
    """It cannot be decided like this. The message says why; `code` is `not_waiting` or `params_mismatch`."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class ExecutionMissing(DecisionRefused):
    """There is no such execution of this owner's."""


def decide(
    execution_id: UUID,
    verdict: Verdict,
    *,
    by: str,
    params_sha256: str | None,
    note: str = "",
    owner: str | None = None,
) -> ToolExecution:
    """Writes the decision down, once, and returns the execution. Deciding the same again changes nothing.

    `params_sha256` must be the hash of what was shown to whoever decides; an operator who sees the row itself gives
    None. `owner` None is an operator's, who may decide for all. Raises `DecisionRefused`.
    """
    rows = ToolExecution.objects.filter(id=execution_id)
    own = rows if owner is None else rows.filter(owner=owner)
    row = own.first()
    if row is None:
        raise ExecutionMissing("There is no such execution.", "not_found")
    if params_sha256 is not None and params_sha256 != row.params_sha256:
        raise DecisionRefused(
            f"The params are not those that were shown to you: their params_sha256 is {row.params_sha256}.",
            "params_mismatch",
        )
    now = timezone.now()
    waiting = own.filter(status=ToolExecution.Status.AWAITING_APPROVAL, decision="", expires__gt=now)
    if not waiting.update(decision=verdict, decided=now, decided_by=by, note=sanitize.text(note, MAX_NOTE_CHARS)):
        row.refresh_from_db()
        _check_same(row, verdict, now)
    row.refresh_from_db()
    return row


def waiting() -> list[ToolExecution]:
    """What awaits a decision, the oldest first."""
    rows = ToolExecution.objects.filter(status=ToolExecution.Status.AWAITING_APPROVAL, decision="")
    return list(rows.order_by("created"))


def settle(execution_id: UUID, now: datetime, *, cancelled: bool = False) -> Approval | None:
    """What became of an execution that waited, or None while it still does.

    Where nobody decided, its time is over, or its run is `cancelled`, which also takes an approval back.
    """
    rows = ToolExecution.objects.filter(id=execution_id)
    waiting = rows.filter(status=ToolExecution.Status.AWAITING_APPROVAL)
    if cancelled:
        waiting.update(decision=ToolExecution.Decision.CANCELLED, decided=now)
    else:
        late = waiting.filter(decision="", expires__lte=now)
        late.update(decision=ToolExecution.Decision.EXPIRED, decided=now)
    row = rows.first()
    if row is None:
        return Approval(execution_id=str(execution_id), decision="expired", params_sha256="")
    return _approval(row) if row.decision else None


def _approval(row: ToolExecution) -> Approval:
    return Approval(
        execution_id=str(row.id),
        decision=msgspec.convert(row.decision, ApprovalDecision),
        params_sha256=row.params_sha256,
        note=row.note,
        by=row.decided_by,
    )


def _check_same(row: ToolExecution, verdict: Verdict, now: datetime) -> None:
    if row.decision == verdict:
        return
    if row.decision:
        raise DecisionRefused(f"It was {row.decision} already.", "not_waiting")
    if row.status == ToolExecution.Status.AWAITING_APPROVAL and row.expires and row.expires <= now:
        raise DecisionRefused("Its time to be decided is over.", "not_waiting")
    raise DecisionRefused(f"It does not await a decision: it is {row.status}.", "not_waiting")
