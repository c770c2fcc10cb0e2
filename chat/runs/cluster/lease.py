"""The lease of this process on its runs, and the end of the runs and calls that dead processes left open.

A process is dead if the kernel says so, or if its row was not renewed for its whole lease, by the database's clock.
Sync functions are each part of one transaction of the writer.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Collection, Iterator
from datetime import timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.db.models.functions import Now
from django.utils import timezone

from chat.engine.events import Error
from chat.models import Process, Run, RunEvent, Session
from chat.runs.log.frame_store import Frames, save_frames
from chat.wire import sse
from kernel import process
from speech import call_log
from spending import ledger
from spending.models import Reservation
from storage.writer import StorageUnavailable, writer
from telemetry import metrics
from tools.execution import rows as execution_rows

logger = logging.getLogger(__name__)

MESSAGE: Final = "The process that ran this was stopped; the output until then is stored."
LOST: Final = "The database did not store the end of this run; the output until then is stored."
RENEWALS: Final = 4
"""Renewals within the duration of one lease."""

MAX_BUSY_LEASES: Final = 6
"""Leases for which a process whose event loop does not answer still counts as alive."""

MAX_AT_ONCE: Final = 500
"""Runs that one round ends."""


class Lease:
    """The lease of this process, `seconds` long. It renews the process's row, and ends the runs of dead processes."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = 0.0
        self._steady_since: float | None = None
        self._renewed = time.monotonic()
        self._closed = threading.Event()

    async def open(self) -> None:
        """Take the lease, and end the runs of this machine's dead processes at once.

        Raise `StorageUnavailable`.
        """
        await writer.write(partial(_renew, self._seconds))
        process.holder.name = process.name()
        threading.Thread(target=self._renew_while_busy, name="lease-renewal", daemon=True).start()
        _count(await writer.write(partial(_end_dead, proven=True)))

    async def keep(self) -> None:
        """Renew the row and look for dead processes, when that is due. Raise `StorageUnavailable`."""
        now = asyncio.get_running_loop().time()
        if now < self._next:
            return
        self._next = now + self._seconds / RENEWALS
        try:
            await writer.write(partial(_renew, self._seconds))
        except StorageUnavailable:
            self._steady_since = None
            raise
        self._renewed = time.monotonic()
        if self._steady_since is None:
            self._steady_since = now
        # An expired row proves nothing after a database outage, which kept the other processes from renewing too.
        # This process therefore judges by expiry only after its own renewals succeeded for a whole lease.
        _count(await writer.write(partial(_end_dead, proven=now - self._steady_since < self._seconds)))

    async def close(self) -> None:
        """Return the lease once nothing of this process is open. Raise `StorageUnavailable`."""
        self._closed.set()
        process.holder.name = None
        await writer.write(Process.objects.filter(name=process.name()).delete)

    def _renew_while_busy(self) -> None:
        """Renew the row from a thread while the event loop is too busy to do so."""
        pause = self._seconds / RENEWALS
        while not self._closed.wait(pause):
            if 2 * pause < time.monotonic() - self._renewed < MAX_BUSY_LEASES * self._seconds:
                writer.post(partial(_renew, self._seconds))


def _renew(seconds: float) -> None:
    own = process.name()
    # The row is missing at first, and after another process took this one for dead.
    if not Process.objects.filter(name=own).update(renewed=Now()):
        Process.objects.create(name=own, renewed=Now(), lease_seconds=seconds)


async def end_runs(run_ids: Collection[UUID]) -> None:
    """End runs that the database has as this process's, but that it does not run. Raise `StorageUnavailable`."""

    def end() -> int:
        lost = Run.objects.filter(id__in=run_ids, process=process.name()).only("id", "session_id", "process")
        return sum(_interrupt(run, LOST) for run in lost)

    ended = await writer.write(end)
    if ended:
        logger.warning("runs.lost", extra={"runs": ended})
    _count(ended)


def _count(ended: int) -> None:
    if ended:
        metrics.runs_ended.add("interrupted", "interrupted", amount=ended)


def _end_dead(*, proven: bool) -> int:
    """End what dead processes left open, and return the number of runs among it.

    If `proven`, only processes that the kernel reports as dead count as such.
    """
    dead = [name for name, expired in _processes() if process.is_dead(name) or (expired and not proven)]
    open_runs = Run.objects.filter(status=Run.Status.RUNNING, process__in=dead)
    runs = list(open_runs.only("id", "session_id", "process")[:MAX_AT_ONCE])
    ended = sum(map(_interrupt, runs))
    calls = call_log.interrupt_calls(dead, timezone.now())
    executions = execution_rows.interrupt_calls(dead, timezone.now())
    # A run that is over may still have a reservation, if the commit that should have settled it was lost.
    running = Run.objects.filter(status=Run.Status.RUNNING).values("id")
    for run_id in Reservation.objects.exclude(run__in=running).values_list("run", flat=True)[:MAX_AT_ONCE]:
        ledger.settle(run_id, None, timezone.now())
    # With more runs left, the rows stay, so that the next round finds them.
    if len(runs) < MAX_AT_ONCE:
        Process.objects.filter(name__in=dead).delete()
    if ended:
        logger.warning("runs.interrupted", extra={"runs": ended, "processes": dead})
    if calls:
        logger.warning("speech.interrupted", extra={"calls": calls, "processes": dead})
    if executions:
        logger.warning("executions.interrupted", extra={"executions": executions, "processes": dead})
    return ended


def _processes() -> Iterator[tuple[str, bool]]:
    """Yield the names of all other processes, and whether their leases have expired."""
    own = process.name()
    rows: Any = (
        Process.objects.exclude(name=own).annotate(now=Now()).values_list("name", "renewed", "lease_seconds", "now")
    )
    known = set()
    for name, renewed, seconds, now in rows:
        known.add(name)
        yield name, renewed + timedelta(seconds=seconds) < now
    # A process without a row was closed or ended as dead, but a run or a call may still name it.
    named = Run.objects.filter(status=Run.Status.RUNNING).exclude(process=own).values_list("process", flat=True)
    at_work = {*named.distinct(), *call_log.processes_at_work(), *execution_rows.processes_at_work()}
    for name in at_work - known - {own}:
        yield name, True


def _interrupt(run: Run, message: str = MESSAGE) -> bool:
    """End the run as interrupted if it is still open and of the same process. Return whether it was."""
    now = timezone.now()
    same = Run.objects.filter(id=run.id, status=Run.Status.RUNNING, process=run.process)
    if not same.update(status=Run.Status.INTERRUPTED, reason="interrupted", error=message, retryable=True, ended=now):
        return False
    # The last event continues the numbers of the stored frames. Later ones were sent by the dead process, and are lost.
    last = RunEvent.objects.filter(run=run).order_by("-first").values_list("last", flat=True).first() or 0
    terminal = Error(error=message, code="interrupted", retryable=True, durable_to=last)
    save_frames([Frames(run.id, last + 1, last + 1, sse.frame(last + 1, terminal))])
    Session.objects.filter(id=run.session_id, active_run=run.id).update(active_run=None)
    execution_rows.interrupt_executions(run.id, now)
    ledger.settle(run.id, None, now)
    ledger.forget_run(run.id)
    return True
