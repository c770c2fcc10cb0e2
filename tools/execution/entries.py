"""The audit entries of executions: what each commits to, and the changes that are recorded with them.

The functions that change rows are called in a transaction.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import QuerySet

from audit import chain
from audit.chain import Change
from audit.covered import Covered
from audit.records import Facet
from tools.models import ToolExecution

Status = ToolExecution.Status

_INTENT_FIELDS: Final = (
    "id", "owner", "session_id", "run_id", "call_id", "tool", "source", "params", "params_sha256", "confinement",
    "expires", "created", "taint",
)  # fmt: skip
_OUTCOME_FIELDS: Final = (
    "status", "data", "error", "code", "ended", "duration_ms", "output", "output_size", "output_sha256", "truncated",
    "result_sha256",
)  # fmt: skip
_DECISION_FIELDS: Final = ("decision", "decided", "decided_by", "note")

INTENT: Final = Facet(ToolExecution, *_INTENT_FIELDS, owner="owner")
STARTED_INTENT: Final = Facet(ToolExecution, *_INTENT_FIELDS, "process", owner="owner")
DECISION: Final = Facet(ToolExecution, *_DECISION_FIELDS, owner="owner")
STARTED: Final = Facet(ToolExecution, "started", "process", owner="owner")
MEMORY: Final = Facet(ToolExecution, "data", owner="owner")
OUTCOME: Final = Facet(ToolExecution, *_OUTCOME_FIELDS, owner="owner")
WHOLE: Final = Facet(
    ToolExecution, *_INTENT_FIELDS, *_DECISION_FIELDS, "started", "process", *_OUTCOME_FIELDS, owner="owner"
)

OPENED: Final[Mapping[str, str]] = {
    Status.RUNNING: "execution.started",
    Status.AWAITING_APPROVAL: "execution.awaits_approval",
    Status.AWAITING_CLIENT: "execution.awaits_client",
}
"""The kinds of the first entry of an execution, by its first status."""

DECIDED: Final = "execution.decided"
RESUMED: Final = "execution.resumed"
REMEMBERED: Final = "execution.remembered"
ENDED: Final = "execution.ended"
ERASED: Final = "execution.erased"
DELETED: Final = "execution.deleted"

_UNDECIDED: Final = {"decision": "", "decided": None, "decided_by": "", "note": ""}
_OPEN: Final = {
    "error": "", "code": "", "ended": None, "duration_ms": None, "output": "", "output_size": None,
    "output_sha256": "", "truncated": False, "result_sha256": "",
}  # fmt: skip


def opened(execution_id: UUID, status: str, source: str) -> None:
    """Record the row of an execution that is about to start, or that waits."""
    facet = STARTED_INTENT if status == Status.RUNNING else INTENT
    chain.record(Change(kind=OPENED[status], subject=str(execution_id), actor=source, facet=facet))


def resumed(execution_id: UUID) -> None:
    """Record the start of an execution that waited."""
    chain.record(Change(kind=RESUMED, subject=str(execution_id), facet=STARTED, in_detail=True))


def remembered(execution_id: UUID) -> None:
    """Record a fact that an execution stored."""
    chain.record(Change(kind=REMEMBERED, subject=str(execution_id), facet=MEMORY, in_detail=True))


def ended(execution_id: UUID, moment: datetime) -> None:
    """Record an outcome, if the update that ended the execution at this moment took effect."""
    chain.record(Change(kind=ENDED, subject=str(execution_id), facet=OUTCOME, only_if=("ended", moment)))


def end_rows(rows: "QuerySet[ToolExecution]", *, ended_at: datetime, actor: str = "", **values: Any) -> int:
    """End executions with these values, record each outcome, and return their number."""
    changed = _changed(rows, ended=ended_at, **values)
    only_if = ("ended", ended_at)
    chain.record(
        *(Change(kind=ENDED, subject=str(one), actor=actor, facet=OUTCOME, only_if=only_if) for one in changed)
    )
    return len(changed)


def decide_rows(rows: "QuerySet[ToolExecution]", *, actor: str = "", **values: Any) -> int:
    """Write a decision about executions, record it, and return their number."""
    changed = _changed(rows, **values)
    chain.record(
        *(Change(kind=DECIDED, subject=str(one), actor=actor, facet=DECISION, in_detail=True) for one in changed)
    )
    return len(changed)


def erased(execution_ids: Iterable[UUID]) -> None:
    """Record the executions whose texts were erased."""
    chain.record(*(Change(kind=ERASED, subject=str(one), actor="erase_user", facet=WHOLE) for one in execution_ids))


def unrecorded(row: Mapping[str, Any], kinds: frozenset[str]) -> str:
    """Return the first column of a row that differs from what its entries of these kinds say; empty if none does."""
    if ERASED in kinds:
        return ""
    expected: dict[str, Any] = {}
    waits = OPENED[Status.AWAITING_APPROVAL] in kinds
    if DECIDED not in kinds:
        expected |= _UNDECIDED
    if RESUMED not in kinds:
        expected["started"] = None if waits else row["created"]
        if OPENED[Status.RUNNING] not in kinds:
            expected["process"] = None
    if ENDED not in kinds:
        first = next(status for status, kind in OPENED.items() if kind in kinds)
        expected |= _OPEN | {"status": Status.RUNNING if RESUMED in kinds else first}
        if REMEMBERED not in kinds:
            expected["data"] = None
    return next((name for name, value in expected.items() if row[name] != value), "")


def _changed(rows: "QuerySet[ToolExecution]", **values: Any) -> list[UUID]:
    # The rows are locked first, so that exactly these change. SQLite has one writer at a time.
    keys = list(rows.select_for_update().order_by("pk").values_list("pk", flat=True))
    if keys:
        ToolExecution.objects.filter(pk__in=keys).update(**values)
    return keys


COVERED: Final = Covered(
    name="execution",
    model=ToolExecution,
    whole=WHOLE,
    created=frozenset(OPENED.values()),
    committed={
        **dict.fromkeys(OPENED.values(), INTENT),
        OPENED[Status.RUNNING]: STARTED_INTENT,
        ENDED: OUTCOME,
        ERASED: WHOLE,
    },
    kept={DECIDED: DECISION, RESUMED: STARTED, REMEMBERED: MEMORY},
    replaces={REMEMBERED: frozenset({ENDED})},
    unrecorded=unrecorded,
)
