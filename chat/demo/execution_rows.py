"""The rows of the demo's tool executions, with their entries in the audit chain."""

import hashlib
from datetime import datetime, timedelta
from typing import Any, Final

from access.models import ApiKey
from chat.demo.bookings import book
from chat.demo.plan import PlannedExecution
from chat.demo.turns import APPROVAL_SECONDS
from chat.models import Run
from storage import statement_batch
from tools.execution import entries, rows
from tools.execution.rows import Intent, Outcome, Status
from tools.models import ToolExecution

APPROVAL: Final = timedelta(seconds=APPROVAL_SECONDS)


def store_execution(run: Run, key: ApiKey, planned: PlannedExecution) -> None:
    """Write an execution with its audit entries, as its events would have written it."""
    first = Status.AWAITING_APPROVAL if planned.needs_approval else Status.RUNNING
    intent = Intent(
        execution_id=planned.id,
        owner=key.owner,
        session_id=run.session_id,
        run_id=run.pk,
        call_id=planned.call_id,
        tool=planned.tool,
        source="model",
        params=planned.params,
        params_sha256=planned.params_sha256,
        confinement="landlock 6, seccomp",
        created=planned.created,
        status=first,
        expires=planned.created + APPROVAL if planned.needs_approval else None,
    )
    rows.open_execution(intent)
    # Collected statements may change their order, and this row comes before its outcome.
    statement_batch.flush()
    if planned.decision:
        given = {"decision": planned.decision, "decided": planned.decided, "decided_by": planned.decided_by}
        own = ToolExecution.objects.filter(pk=planned.id)
        entries.decide_rows(own, actor=planned.decided_by, note=planned.note, **given)
    if planned.needs_approval and planned.started:
        rows.start_execution(planned.id, planned.started)
    if planned.ended is not None:
        _close(key, planned, planned.ended, Status.RUNNING if planned.started else first)


def _close(key: ApiKey, planned: PlannedExecution, ended: datetime, status: "Status") -> None:
    began = planned.started or ended
    milliseconds = (ended - began) / timedelta(milliseconds=1)
    output = planned.output.encode()
    code: Any = planned.code or None
    outcome = Outcome(
        execution_id=planned.id,
        data=planned.data,
        error=planned.error,
        code=code,
        ended=ended,
        duration_ms=milliseconds,
        output=planned.output,
        output_size=len(output) if output else None,
        output_sha256=hashlib.sha256(output).hexdigest() if output else "",
    )
    rows.close_execution(outcome, status)
    used: dict[str, Any] = {"tool": planned.tool, "failed": bool(code), "milliseconds": round(milliseconds)}
    book(key, ended, (planned.data or {}).get("cost_usd", 0), **used)
