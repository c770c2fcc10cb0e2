"""Executions of callers that wait for a decision outside of any run: sync functions, each called in a transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone

from tools.approvals import decisions
from tools.base import Approval
from tools.execution import entries
from tools.execution.taint import described
from tools.mcp_server.messages.questions import Question
from tools.models import ToolExecution

Status = ToolExecution.Status

MAX_WAITING: Final = 100
"""Executions of one owner that may wait outside of runs at the same time."""


def found(owner: str, tool: str, params_sha256: str) -> UUID | None:
    """Return the oldest execution of the same call that waits, or that is decided and has not been continued."""
    same = _waiting(owner).filter(tool=tool, params_sha256=params_sha256, expires__gt=timezone.now())
    usable = same.filter(decision__in=("", ToolExecution.Decision.APPROVED, ToolExecution.Decision.DENIED))
    return usable.order_by("created").values_list("id", flat=True).first()


def has_room(owner: str) -> bool:
    """Return whether one more execution of the owner may wait."""
    return _waiting(owner).filter(decision="", expires__gt=timezone.now()).count() < MAX_WAITING


def question(execution_id: UUID, owner: str) -> Question | None:
    """Return the question about an execution that waits for a decision; None if it does not."""
    return _asked(_undecided(owner).filter(id=execution_id).first())


def question_of_run(run_id: UUID, owner: str) -> Question | None:
    """Return the question that a run waits for; None if it waits for none."""
    return _asked(_undecided(owner).filter(run_id=run_id).first())


def _asked(row: ToolExecution | None) -> Question | None:
    if row is None or row.expires is None:
        return None
    return Question(
        execution_id=str(row.id),
        tool=row.tool,
        params=row.params,
        params_sha256=row.params_sha256,
        expires_at=row.expires.isoformat(timespec="seconds").replace("+00:00", "Z"),
        taint=described(row.taint),
    )


def status_of(execution_id: UUID, owner: str) -> str:
    """Return the status of an execution outside of runs; empty if the owner has no such execution."""
    own = ToolExecution.objects.filter(id=execution_id, owner=owner, run_id=None)
    return own.values_list("status", flat=True).first() or ""


def is_settled(execution_id: UUID) -> bool:
    """Return whether an execution is decided, or no longer waits."""
    waiting = ToolExecution.objects.filter(id=execution_id, status=Status.AWAITING_APPROVAL, decision="")
    return not waiting.filter(expires__gt=timezone.now()).exists()


def settled(execution_id: UUID, *, cancelled: bool = False) -> Approval | None:
    """Return the decision about an execution; None while it waits."""
    return decisions.settle(execution_id, timezone.now(), cancelled=cancelled)


def cancel_call(reference: str, owner: str, now: datetime) -> None:
    """Ask the process of a call to cancel it, if exactly one open call has the reference."""
    open_calls = ToolExecution.objects.filter(
        owner=owner, call_id=reference, status__in=(Status.RUNNING, Status.AWAITING_APPROVAL), decision=""
    )
    # Two clients without a session can number their requests alike.
    if open_calls.count() == 1:
        decision = {"decision": ToolExecution.Decision.CANCELLED, "decided": now, "decided_by": owner}
        entries.decide_rows(open_calls, actor=owner, **decision)


def cancelled(references: Sequence[str]) -> list[str]:
    """Return those of the references whose running calls are to be cancelled."""
    running = ToolExecution.objects.filter(status=Status.RUNNING, decision=ToolExecution.Decision.CANCELLED)
    return list(running.filter(call_id__in=references).values_list("call_id", flat=True))


def _waiting(owner: str) -> "QuerySet[ToolExecution]":
    return ToolExecution.objects.filter(owner=owner, run_id=None, status=Status.AWAITING_APPROVAL)


def _undecided(owner: str) -> "QuerySet[ToolExecution]":
    waiting = ToolExecution.objects.filter(owner=owner, status=Status.AWAITING_APPROVAL, decision="")
    return waiting.filter(expires__gt=timezone.now())
