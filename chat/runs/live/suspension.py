"""Runs that wait for an approval, or for results of client tools.

They exist only in the database, without a task and without a process. These are sync functions. Each is part of one
transaction of the writer, except `decided`, which only reads.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from django.db.models import Exists as RowExists
from django.db.models import Max, OuterRef
from django.utils import timezone

from access.caller import Caller
from access.keys import lookup
from access.scopes import ALL, NONE
from chat.engine.loop import Resumption, Suspended
from chat.models import Message, Run, RunEvent
from kernel import process
from storage.statements import Exists
from tools.approvals import decisions
from tools.client_tools import results as client_results
from tools.models import ToolExecution

MAX_AT_ONCE: Final = 50
"""Runs that one query finds ready to continue."""

_any_waits = Exists(lambda: Run.objects.filter(status=Run.Status.WAITING))


class Suspension(msgspec.Struct, frozen=True, kw_only=True):
    """A run that starts to wait. The time that it waits does not count towards its `seconds_left`."""

    run_id: UUID
    suspended: Suspended
    seconds_left: float
    provider: str
    model: str


class State(msgspec.Struct, frozen=True, kw_only=True):
    """The value of the column `suspended`, as JSON."""

    suspended: Suspended
    seconds_left: float


class Resumed(msgspec.Struct, frozen=True, kw_only=True):
    """A run that continues in this process, with `last` events and the answer's `text` so far."""

    row: Run
    caller: Caller
    resumption: Resumption
    seconds_left: float
    last: int
    text: str


def suspend(suspension: Suspension) -> None:
    """Make the run wait, if this process still runs it."""
    suspended = suspension.suspended
    state = State(suspended=suspended, seconds_left=suspension.seconds_left)
    waiting = ToolExecution.objects.filter(run_id=suspension.run_id, status__in=ToolExecution.WAITING)
    # Without any, the client has already answered, and the run can continue at once.
    expires = waiting.aggregate(latest=Max("expires"))["latest"]
    Run.objects.filter(id=suspension.run_id, status=Run.Status.RUNNING, process=process.name()).update(
        status=Run.Status.WAITING,
        process="",
        suspended=msgspec.json.encode(state).decode(),
        waits_until=expires or timezone.now(),
        provider=suspension.provider,
        model=suspension.model,
        input_tokens=suspended.usage.input_tokens,
        output_tokens=suspended.usage.output_tokens,
    )


def decided(now: datetime) -> list[UUID]:
    """Return waiting runs that can continue: their execution is decided, the client has answered, or time is over."""
    if not _any_waits():
        return []
    waiting = Run.objects.filter(status=Run.Status.WAITING)
    late = waiting.filter(waits_until__lte=now).values_list("id", flat=True)
    pending = ToolExecution.objects.filter(status=ToolExecution.Status.AWAITING_APPROVAL).exclude(decision="")
    decided = waiting.filter(id__in=list(pending.values_list("run_id", flat=True)[:MAX_AT_ONCE]))
    # A result closes its execution at once, so a run without a waiting execution has all of its results.
    open_calls = ToolExecution.objects.filter(run_id=OuterRef("id"), status__in=ToolExecution.WAITING)
    answered = waiting.exclude(RowExists(open_calls)).values_list("id", flat=True)
    return [*late[:MAX_AT_ONCE], *decided.values_list("id", flat=True), *answered[:MAX_AT_ONCE]]


def resume(run_id: UUID, *, cancelled: bool = False) -> Resumed | None:
    """Take a waiting run over for this process if it can continue, or to end it as `cancelled`.

    Return None if the run does not wait, or another process took it.
    """
    row = Run.objects.select_related("session").filter(id=run_id, status=Run.Status.WAITING).first()
    if row is None:
        return None
    owner = row.session.owner
    # The key may have lost its rights while the run waited. If it was revoked or has expired, the run is cancelled.
    caller = lookup.caller_now(row.key, owner, timezone.now()) if row.key else Caller(owner=owner, scopes=ALL)
    cancelled = cancelled or caller.scopes == NONE
    state = msgspec.json.decode(row.suspended, type=State)
    suspended, now = state.suspended, timezone.now()
    waited = [UUID(call.execution_id) for call in suspended.client_calls]
    results = client_results.settle(waited, now, cancelled=cancelled) if waited else None
    approval = None if waited else decisions.settle(UUID(suspended.execution_id), now, cancelled=cancelled)
    if results is None and approval is None:
        return None
    # Several processes may find the same run; the conditional update lets one of them take it.
    waiting = Run.objects.filter(id=run_id, status=Run.Status.WAITING)
    if not waiting.update(status=Run.Status.RUNNING, process=process.name(), suspended="", waits_until=None):
        return None
    messages = Message.objects.filter(run=run_id, role=Message.Role.ASSISTANT).order_by("id")
    return Resumed(
        row=row,
        caller=caller,
        resumption=Resumption(suspended=suspended, approval=approval, results=results),
        seconds_left=state.seconds_left,
        last=RunEvent.objects.filter(run=run_id).order_by("-first").values_list("last", flat=True)[0],
        text="".join(messages.values_list("content", flat=True)),
    )
