"""Runs that wait for an approval: in the database alone, without a task and without a process.

Sync functions, each a part of one transaction of the writer, but for `ready`, which only reads.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from django.utils import timezone

from access.caller import Caller
from access.keys import lookup
from access.scopes import ALL, NONE
from chat.engine.loop import Resumption, Suspended
from chat.models import Message, Run, RunEvent
from chat.runs.cluster import process
from storage.statements import Exists
from tools.approvals import decisions
from tools.models import ToolExecution

MAX_AT_ONCE: Final = 50
"""Runs that one look finds ready to go on."""

_any_waits = Exists(lambda: Run.objects.filter(status=Run.Status.WAITING))


class Suspension(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is to wait; its clock stands still with `seconds_left`."""

    run_id: UUID
    suspended: Suspended
    seconds_left: float
    provider: str
    model: str


class _State(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored of a waiting run."""

    suspended: Suspended
    seconds_left: float


class Resumed(msgspec.Struct, frozen=True, kw_only=True):
    """A run that goes on in this process, with `last` events and the answer's `text` so far."""

    row: Run
    caller: Caller
    resumption: Resumption
    seconds_left: float
    last: int
    text: str


def suspend(parked: Suspension) -> None:
    """Lets the run wait, if it still runs here."""
    state = _State(suspended=parked.suspended, seconds_left=parked.seconds_left)
    expires = ToolExecution.objects.filter(id=parked.suspended.execution_id).values_list("expires", flat=True).first()
    usage = parked.suspended.usage
    Run.objects.filter(id=parked.run_id, status=Run.Status.RUNNING, process=process.name()).update(
        status=Run.Status.WAITING,
        process="",
        suspended=msgspec.json.encode(state).decode(),
        waits_until=expires or timezone.now(),
        provider=parked.provider,
        model=parked.model,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
    )


def decided(now: datetime) -> list[UUID]:
    """The waiting runs that can go on: their execution is decided, or their time is over."""
    if not _any_waits():
        return []
    waits = Run.objects.filter(status=Run.Status.WAITING)
    late = waits.filter(waits_until__lte=now).values_list("id", flat=True)
    undone = ToolExecution.objects.filter(status=ToolExecution.Status.AWAITING_APPROVAL).exclude(decision="")
    decided = waits.filter(id__in=list(undone.values_list("run_id", flat=True)[:MAX_AT_ONCE]))
    return [*late[:MAX_AT_ONCE], *decided.values_list("id", flat=True)]


def resume(run_id: UUID, *, cancelled: bool = False) -> Resumed | None:
    """Makes a waiting run this process's, if what it waits for is decided, or it is to end as `cancelled`.

    That is what becomes of a run whose key was revoked or has expired.
    """
    row = Run.objects.select_related("session").filter(id=run_id, status=Run.Status.WAITING).first()
    if row is None:
        return None
    caller = _caller(row)
    cancelled = cancelled or caller.scopes == NONE
    state = msgspec.json.decode(row.suspended, type=_State)
    approval = decisions.settle(UUID(state.suspended.execution_id), timezone.now(), cancelled=cancelled)
    if approval is None:
        return None
    mine = Run.objects.filter(id=run_id, status=Run.Status.WAITING)
    if not mine.update(status=Run.Status.RUNNING, process=process.name(), suspended="", waits_until=None):
        return None
    said = Message.objects.filter(run=run_id, role=Message.Role.ASSISTANT).order_by("id")
    return Resumed(
        row=row,
        caller=caller,
        resumption=Resumption(suspended=state.suspended, approval=approval),
        seconds_left=state.seconds_left,
        last=RunEvent.objects.filter(run=run_id).order_by("-first").values_list("last", flat=True)[0],
        text="".join(said.values_list("content", flat=True)),
    )


def _caller(row: Run) -> Caller:
    """Whoever began the run, with what its key opens by now."""
    owner = row.session.owner
    return lookup.caller_now(row.key, owner, timezone.now()) if row.key else Caller(owner=owner, scopes=ALL)
