"""Removal of old data in batches, each a short transaction, so that a running service is not blocked.

Nothing of an open run, or of its session, is old. A session is first taken from its owner by a conditional update, so
that no caller can continue it while its messages are deleted. After a crash, the next pruning finds it.
"""

import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

import msgspec
from django.db import transaction
from django.db.models import BinaryField, Count, Exists, F, Model, OuterRef, Q, QuerySet, Sum, TextField, Value
from django.db.models.functions import Cast, Coalesce, Length

from audit import chain
from audit.chain import Change
from chat.models import Attachment, Message, Order, Run, RunEvent, RunKey, Session
from speech.models import SpeechRequest
from spending.models import Account
from tools.changes.log import ChangeStore, KeptChanges
from tools.models import ToolExecution
from tools.output.store import Kept, OutputStore

ROWS_AT_ONCE: Final = 500
PAUSE_SECONDS: Final = 0.01
"""Seconds between two transactions, in which SQLite's other writers proceed."""

OPEN_RUN: Final = (Run.Status.RUNNING, Run.Status.WAITING)
CLAIMED: Final = ""
STRAYS: Final = "outputs without rows"
CHANGES: Final = "changes of old runs"

STRAY_AFTER: Final = timedelta(days=1)
"""The age of an output without a row that is removed. No tool runs that long, so none is writing it."""

MEASURED: Final[dict[type[Model], tuple[str, ...]]] = {
    RunEvent: ("frames",),
    Attachment: ("data",),
    Message: ("content", "tool_calls", "provider_parts"),
    Run: ("options", "metadata", "error"),
    Session: ("title", "metadata"),
    ToolExecution: ("params", "data", "output"),
    SpeechRequest: ("audio", "error", "note"),
}
"""The fields that hold most bytes of a row."""


DELETED: Final[Mapping[type[Model], tuple[str, str]]] = {
    ToolExecution: ("execution.deleted", "owner"),
    # A session that is pruned was taken from its owner before.
    Run: ("run.deleted", "session__owner"),
    Session: ("session.deleted", "owner"),
}
"""The kinds of audit entries about removed rows, and the fields with the owner."""


class Ages(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of age: `rows` of sessions, executions and speech calls, `frames` of ended runs, `strays` of outputs
    without a row.
    """

    rows: datetime
    frames: datetime
    strays: datetime


class Pruned(msgspec.Struct, frozen=True, kw_only=True):
    """The number of removed rows of one table, or outputs, and the bytes of their texts."""

    name: str
    rows: int
    bytes: int


def executions(ages: Ages) -> "QuerySet[ToolExecution]":
    of_open_run = Run.objects.filter(id=OuterRef("run_id"), status__in=OPEN_RUN)
    old = ToolExecution.objects.filter(created__lt=ages.rows).exclude(status__in=ToolExecution.OPEN)
    return old.exclude(Exists(of_open_run))


def sessions(ages: Ages) -> "QuerySet[Session]":
    open_runs = Run.objects.filter(session=OuterRef("pk"), status__in=OPEN_RUN)
    old = Q(updated__lt=ages.rows) | Q(owner=CLAIMED)
    return Session.objects.filter(old, active_run=None).exclude(Exists(open_runs))


def frames(ages: Ages, going: "QuerySet[Session]") -> "QuerySet[RunEvent]":
    ended = RunEvent.objects.exclude(run__status__in=OPEN_RUN)
    return ended.filter(Q(run__ended__lt=ages.frames) | Q(run__session__in=going))


def calls_of_speech(ages: Ages) -> "QuerySet[SpeechRequest]":
    return SpeechRequest.objects.filter(created__lt=ages.rows).exclude(status=SpeechRequest.Status.RUNNING)


def accounts(ages: Ages) -> "QuerySet[Account]":
    """Return the accounts of old runs, sessions, days and months. An account without a period is never old."""
    ending = Q(name__startswith="run:") | Q(name__startswith="session:") | Q(name__contains="/")
    return Account.objects.filter(ending, updated__lt=ages.rows, reserved=0)


def strays(before: datetime, outputs: OutputStore) -> Iterator[Kept]:
    """Yield the outputs without a row that have not changed since `before`."""
    # A row is committed before its output is begun. Looking for the file first and the row second misses none.
    old = (kept for kept in outputs.kept() if kept.written < before.timestamp())
    while batch := list(islice(old, ROWS_AT_ONCE)):
        found = ToolExecution.objects.filter(pk__in=[kept.execution_id for kept in batch])
        known = set(found.values_list("pk", flat=True))
        yield from (kept for kept in batch if kept.execution_id not in known)


def old_changes(before: datetime, changes: ChangeStore) -> Iterator[KeptChanges]:
    """Yield the kept changes of files whose run has no row, and which have not changed since `before`."""
    old = (kept for kept in changes.kept() if kept.written < before.timestamp())
    while batch := list(islice(old, ROWS_AT_ONCE)):
        known = set(Run.objects.filter(pk__in=[kept.run_id for kept in batch]).values_list("pk", flat=True))
        yield from (kept for kept in batch if kept.run_id not in known)


def parts(ages: Ages, going: "QuerySet[Session]") -> "list[QuerySet[Any]]":
    """Return all rows that are removed with these sessions, each before those that it refers to."""
    return [
        executions(ages),
        frames(ages, going),
        Order.objects.filter(run__session__in=going),
        RunKey.objects.filter(run__session__in=going),
        Attachment.objects.filter(message__session__in=going),
        Message.objects.filter(session__in=going),
        Run.objects.filter(session__in=going),
        going,
        calls_of_speech(ages),
        accounts(ages),
    ]


def count(ages: Ages, outputs: OutputStore, changes: ChangeStore) -> Iterator[Pruned]:
    """Yield what would be removed."""
    for part in parts(ages, sessions(ages)):
        yield _measured(part)
    found = [outputs.size(owner, key) for owner, key in executions(ages).values_list("owner", "id").iterator()]
    yield Pruned(name="stored outputs", rows=sum(size > 0 for size in found), bytes=sum(found))
    left = [kept.size for kept in strays(ages.strays, outputs)]
    yield Pruned(name=STRAYS, rows=len(left), bytes=sum(left))
    left = [kept.size for kept in old_changes(ages.strays, changes)]
    yield Pruned(name=CHANGES, rows=len(left), bytes=sum(left))


def prune(ages: Ages, outputs: OutputStore, changes: ChangeStore) -> Iterator[Pruned]:
    """Remove the old data, and yield each part that was removed. Raises `OSError` if an output cannot be removed."""
    # Outputs first: without its row, an output could only be found as a stray.
    removed = size = 0
    for owner, key in executions(ages).values_list("owner", "id").iterator():
        stored = outputs.size(owner, key)
        if stored:
            outputs.remove(owner, key)
            removed, size = removed + 1, size + stored
    yield Pruned(name="stored outputs", rows=removed, bytes=size)
    # Sessions are claimed before anything of them is deleted. The condition is checked again by the update, so one that
    # was used since then stays.
    while keys := list(sessions(ages).exclude(owner=CLAIMED).values_list("pk", flat=True)[:ROWS_AT_ONCE]):
        sessions(ages).filter(pk__in=keys).update(owner=CLAIMED)
        time.sleep(PAUSE_SECONDS)
    for part in parts(ages, sessions(ages).filter(owner=CLAIMED)):
        yield _remove(part)
    removed = size = 0
    for stray in strays(ages.strays, outputs):
        stray.path.unlink(missing_ok=True)
        removed, size = removed + 1, size + stray.size
    yield Pruned(name=STRAYS, rows=removed, bytes=size)
    removed = size = 0
    for kept in old_changes(ages.strays, changes):
        kept.remove()
        removed, size = removed + 1, size + kept.size
    yield Pruned(name=CHANGES, rows=removed, bytes=size)


def _measured(part: "QuerySet[Any]") -> Pruned:
    fields = [part.model._meta.get_field(name) for name in MEASURED.get(part.model, ())]
    # PostgreSQL has no length of JSON. A cast of bytes to text would count hexadecimal digits.
    columns = [F(field.name) if isinstance(field, BinaryField) else Cast(field.name, TextField()) for field in fields]
    lengths = (Coalesce(Length(column), 0) for column in columns)
    found = part.order_by().aggregate(rows=Count("pk"), size=Sum(sum(lengths, start=Value(0))))
    return Pruned(name=part.model._meta.db_table, rows=found["rows"], bytes=found["size"] or 0)


def _remove(part: "QuerySet[Any]") -> Pruned:
    rows = size = 0
    while keys := list(part.order_by("pk").values_list("pk", flat=True)[:ROWS_AT_ONCE]):
        batch = part.model._default_manager.filter(pk__in=keys)
        with transaction.atomic():
            size += _measured(batch).bytes
            gone = deletions(batch)
            batch.delete()
            chain.record(*gone)
        rows += len(keys)
        time.sleep(PAUSE_SECONDS)
    return Pruned(name=part.model._meta.db_table, rows=rows, bytes=size)


def deletions(batch: "QuerySet[Any]") -> list[Change]:
    """Return the audit's entries about the removal of rows, if the audit covers their table."""
    kind, owner = DELETED.get(batch.model, ("", ""))
    rows = batch.order_by("pk").values_list("pk", owner) if kind else ()
    return [Change(kind=kind, subject=str(key), owner=whose, actor="prune") for key, whose in rows]
