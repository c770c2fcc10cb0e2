"""What is old enough to go, and its going: in batches, each a short transaction, so that a running service goes on.

Nothing of a run that is open, or of its session, is ever old. A session that goes is first taken from its owner, by a
conditional update, so that nobody can go on with it while its messages go; after a crash the next pruning finds it.
"""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

import msgspec
from django.db import transaction
from django.db.models import BinaryField, Count, Exists, F, Model, OuterRef, Q, QuerySet, Sum, TextField, Value
from django.db.models.functions import Cast, Coalesce, Length

from chat.models import Attachment, Message, Order, Run, RunEvent, RunKey, Session
from speech.models import SpeechRequest
from spending.models import Account
from tools.models import ToolExecution
from tools.output.store import Kept, OutputStore

ROWS_AT_ONCE: Final = 500
PAUSE_SECONDS: Final = 0.01
"""Between two transactions, in which SQLite lets others write."""

OPEN_RUN: Final = (Run.Status.RUNNING, Run.Status.WAITING)
OPEN_EXECUTION: Final = (ToolExecution.Status.RUNNING, ToolExecution.Status.AWAITING_APPROVAL)
NOBODY: Final = ""
STRAYS: Final = "outputs without rows"

STRAY_AFTER: Final = timedelta(days=1)
"""For how long nothing was added to an output without a row that goes. No tool runs as long, so none is writing it."""

MEASURED: Final[dict[type[Model], tuple[str, ...]]] = {
    RunEvent: ("frames",),
    Attachment: ("data",),
    Message: ("content", "tool_calls", "provider_parts"),
    Run: ("options", "metadata", "error"),
    Session: ("title", "metadata"),
    ToolExecution: ("params", "data", "output"),
    SpeechRequest: ("audio", "error", "note"),
}
"""Where the bytes of a row are."""


class Ages(msgspec.Struct, frozen=True, kw_only=True):
    """Older than `rows`: sessions, executions and calls of speech. Older than `frames`: event logs of runs that have
    ended. Older than `strays`: outputs without a row.
    """

    rows: datetime
    frames: datetime
    strays: datetime


class Pruned(msgspec.Struct, frozen=True, kw_only=True):
    """Of one table, or of the store of outputs: what goes, and the bytes of what was said in it."""

    name: str
    rows: int
    bytes: int


def executions(ages: Ages) -> "QuerySet[ToolExecution]":
    of_open_run = Run.objects.filter(id=OuterRef("run_id"), status__in=OPEN_RUN)
    old = ToolExecution.objects.filter(created__lt=ages.rows).exclude(status__in=OPEN_EXECUTION)
    return old.exclude(Exists(of_open_run))


def sessions(ages: Ages) -> "QuerySet[Session]":
    open_runs = Run.objects.filter(session=OuterRef("pk"), status__in=OPEN_RUN)
    old = Q(updated__lt=ages.rows) | Q(owner=NOBODY)
    return Session.objects.filter(old, active_run=None).exclude(Exists(open_runs))


def frames(ages: Ages, going: "QuerySet[Session]") -> "QuerySet[RunEvent]":
    ended = RunEvent.objects.exclude(run__status__in=OPEN_RUN)
    return ended.filter(Q(run__ended__lt=ages.frames) | Q(run__session__in=going))


def calls_of_speech(ages: Ages) -> "QuerySet[SpeechRequest]":
    return SpeechRequest.objects.filter(created__lt=ages.rows).exclude(status=SpeechRequest.Status.RUNNING)


def accounts(ages: Ages) -> "QuerySet[Account]":
    """Of runs, sessions, days and months: what was spent of a budget for ever is never old."""
    ending = Q(name__startswith="run:") | Q(name__startswith="session:") | Q(name__contains="/")
    return Account.objects.filter(ending, updated__lt=ages.rows, reserved=0)


def strays(before: datetime, outputs: OutputStore) -> Iterator[Kept]:
    """Outputs of which no row tells, and to which nothing was added since. A row is committed before its output
    begins, so whoever looks for the file first and for the row then misses none.
    """
    old = (kept for kept in outputs.kept() if kept.written < before.timestamp())
    while batch := list(islice(old, ROWS_AT_ONCE)):
        found = ToolExecution.objects.filter(pk__in=[kept.execution_id for kept in batch])
        told = set(found.values_list("pk", flat=True))
        yield from (kept for kept in batch if kept.execution_id not in told)


def parts(ages: Ages, going: "QuerySet[Session]") -> "list[QuerySet[Any]]":
    """All that goes where these sessions go, each before what it refers to."""
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


def count(ages: Ages, outputs: OutputStore) -> Iterator[Pruned]:
    """What would go."""
    for part in parts(ages, sessions(ages)):
        yield _measured(part)
    found = [outputs.size(owner, key) for owner, key in executions(ages).values_list("owner", "id").iterator()]
    yield Pruned(name="stored outputs", rows=sum(size > 0 for size in found), bytes=sum(found))
    left = [kept.size for kept in strays(ages.strays, outputs)]
    yield Pruned(name=STRAYS, rows=len(left), bytes=sum(left))


def prune(ages: Ages, outputs: OutputStore) -> Iterator[Pruned]:
    """Removes it, and says what went. Raises `OSError` where an output cannot be removed."""
    yield _remove_outputs(ages, outputs)
    _take_from_owners(ages)
    for part in parts(ages, sessions(ages).filter(owner=NOBODY)):
        yield _remove(part)
    yield _remove_strays(ages, outputs)


def _measured(part: "QuerySet[Any]") -> Pruned:
    lengths = (_length(part.model, name) for name in MEASURED.get(part.model, ()))
    found = part.order_by().aggregate(rows=Count("pk"), size=Sum(sum(lengths, start=Value(0))))
    return Pruned(name=part.model._meta.db_table, rows=found["rows"], bytes=found["size"] or 0)


def _length(model: type[Model], name: str) -> Any:
    is_binary = isinstance(model._meta.get_field(name), BinaryField)
    return Coalesce(Length(F(name) if is_binary else Cast(name, TextField())), 0)


def _remove(part: "QuerySet[Any]") -> Pruned:
    rows = size = 0
    while keys := list(part.order_by("pk").values_list("pk", flat=True)[:ROWS_AT_ONCE]):
        batch = part.model._default_manager.filter(pk__in=keys)
        with transaction.atomic():
            size += _measured(batch).bytes
            batch.delete()
        rows += len(keys)
        time.sleep(PAUSE_SECONDS)
    return Pruned(name=part.model._meta.db_table, rows=rows, bytes=size)


def _take_from_owners(ages: Ages) -> None:
    """Claims the sessions that go: one that was used since then stays."""
    while keys := list(sessions(ages).exclude(owner=NOBODY).values_list("pk", flat=True)[:ROWS_AT_ONCE]):
        sessions(ages).filter(pk__in=keys).update(owner=NOBODY)
        time.sleep(PAUSE_SECONDS)


def _remove_outputs(ages: Ages, outputs: OutputStore) -> Pruned:
    removed = size = 0
    for owner, key in executions(ages).values_list("owner", "id").iterator():
        kept = outputs.size(owner, key)
        if kept:
            outputs.remove(owner, key)
            removed, size = removed + 1, size + kept
    return Pruned(name="stored outputs", rows=removed, bytes=size)


def _remove_strays(ages: Ages, outputs: OutputStore) -> Pruned:
    removed = size = 0
    for kept in strays(ages.strays, outputs):
        kept.path.unlink(missing_ok=True)
        removed, size = removed + 1, size + kept.size
    return Pruned(name=STRAYS, rows=removed, bytes=size)
