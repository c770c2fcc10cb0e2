"""The lease of this process on its runs, and the end of those, and of calls of speech, whose process is gone.

A process is dead when the kernel says so, or when its row was not renewed for its whole lease, by the database's clock.
Of the second this process judges only after its own row was renewed without a failure for as long: a database that
was away has kept the others from renewing, too. Sync functions are each a part of one transaction of the writer.
"""

import asyncio
import logging
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

import msgspec
from django.db.models.functions import Now
from django.utils import timezone

from chat.engine.events import Error
from chat.models import Process, Run, RunEvent, Session
from chat.runs.cluster import process
from chat.runs.log import frame_store
from chat.wire import sse
from speech.call_log import here, interrupt_calls, processes_at_work
from spending import ledger
from spending.models import Reservation
from storage.writer import StorageUnavailable, writer
from telemetry import metrics
from tools.execution.rows import interrupt_executions

logger = logging.getLogger(__name__)

MESSAGE: Final = "The process that ran this was stopped; what was produced until then is kept."
LOST: Final = "The database could not be told how this went on; what was kept until then is there."
RENEWALS: Final = 4
"""Renewals in the time of one lease."""

MAX_AT_ONCE: Final = 500
"""Runs that one round ends."""


class Lease:
    """Renews this process's row from `open` on, and ends the runs of the dead. `seconds` is the lease's length."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = 0.0
        self._steady_since: float | None = None

    async def open(self) -> None:
        """Takes the lease, and ends at once the runs of processes of this machine that are gone.

        Raises `StorageUnavailable`.
        """
        await writer.write(partial(_renew, self._seconds))
        here.process = process.name()
        await _end_of_dead(proven=True)

    async def keep(self) -> None:
        """Renews the row and looks for the dead, when it is time to. Raises `StorageUnavailable`."""
        now = asyncio.get_running_loop().time()
        if now < self._next:
            return
        self._next = now + self._seconds / RENEWALS
        try:
            await writer.write(partial(_renew, self._seconds))
        except StorageUnavailable:
            self._steady_since = None
            raise
        if self._steady_since is None:
            self._steady_since = now
        await _end_of_dead(proven=now - self._steady_since < self._seconds)

    async def close(self) -> None:
        """Gives the lease back: nothing of this process is open any more. Raises `StorageUnavailable`."""
        here.process = None
        await writer.write(Process.objects.filter(name=process.name()).delete)


class _Seen(msgspec.Struct, frozen=True):
    name: str
    expired: bool


def _renew(seconds: float) -> None:
    own = process.name()
    if not Process.objects.filter(name=own).update(renewed=Now()):
        Process.objects.create(name=own, renewed=Now(), lease_seconds=seconds)


async def end_runs(run_ids: Collection[UUID]) -> None:
    """Ends open runs of this process that it does not have, as those of the dead. Raises `StorageUnavailable`."""
    _count(await writer.write(partial(_end_own, run_ids)))


async def _end_of_dead(*, proven: bool) -> None:
    _count(await writer.write(partial(_end_dead, proven=proven)))


def _count(ended: int) -> None:
    if ended:
        metrics.runs_ended.add("interrupted", "interrupted", amount=ended)


def _end_dead(*, proven: bool) -> int:
    """Ends what dead processes left open, where `proven` only of those that the kernel knows to be dead.

    Returns how many of it were runs.
    """
    dead = [seen.name for seen in _processes() if process.is_dead(seen.name) or (seen.expired and not proven)]
    open_runs = Run.objects.filter(status=Run.Status.RUNNING, process__in=dead)
    runs = list(open_runs.only("id", "session_id", "process")[:MAX_AT_ONCE])
    ended = sum(map(_interrupt, runs))
    calls = interrupt_calls(dead, timezone.now())
    _settle_left()
    if len(runs) < MAX_AT_ONCE:
        Process.objects.filter(name__in=dead).delete()
    if ended:
        logger.warning("runs.interrupted", extra={"runs": ended, "processes": dead})
    if calls:
        logger.warning("speech.interrupted", extra={"calls": calls, "processes": dead})
    return ended


def _end_own(run_ids: Collection[UUID]) -> int:
    lost = Run.objects.filter(id__in=run_ids, process=process.name()).only("id", "session_id", "process")
    ended = sum(_interrupt(run, LOST) for run in lost)
    if ended:
        logger.warning("runs.lost", extra={"runs": ended})
    return ended


def _settle_left() -> None:
    """Books what runs had reserved that are over, and that nobody settled: their last commit was lost."""
    open_runs = Run.objects.filter(status=Run.Status.RUNNING).values("id")
    for run_id in Reservation.objects.exclude(run__in=open_runs).values_list("run", flat=True)[:MAX_AT_ONCE]:
        ledger.settle(run_id, None, timezone.now())


def _processes() -> Iterator[_Seen]:
    """All but this one: those with a row, and those without one whom a run or a call of speech names."""
    own = process.name()
    rows: Any = (
        Process.objects.exclude(name=own).annotate(now=Now()).values_list("name", "renewed", "lease_seconds", "now")
    )
    known = set()
    for name, renewed, seconds, moment in rows:
        known.add(name)
        yield _Seen(name, _is_expired(renewed, seconds, moment))
    named = Run.objects.filter(status=Run.Status.RUNNING).exclude(process=own).values_list("process", flat=True)
    for name in {*named.distinct(), *processes_at_work()} - known - {own}:
        yield _Seen(name, expired=True)


def _is_expired(renewed: datetime, seconds: float, now: datetime) -> bool:
    return renewed + timedelta(seconds=seconds) < now


def _interrupt(run: Run, message: str = MESSAGE) -> bool:
    """Ends the run, if it is still open and that process's, and tells why. Whether it was."""
    now = timezone.now()
    mine = Run.objects.filter(id=run.id, status=Run.Status.RUNNING, process=run.process)
    if not mine.update(status=Run.Status.INTERRUPTED, reason="interrupted", error=message, retryable=True, ended=now):
        return False
    last = RunEvent.objects.filter(run=run).order_by("-first").values_list("last", flat=True).first() or 0
    terminal = Error(error=message, code="interrupted", retryable=True, durable_to=last)
    frame_store.save_frames([frame_store.Frames(run.id, last + 1, last + 1, sse.frame(last + 1, terminal))])
    Session.objects.filter(id=run.session_id, active_run=run.id).update(active_run=None)
    interrupt_executions(run.id, now)
    ledger.settle(run.id, None, now)
    ledger.forget_run(run.id)
    return True
