"""Group commit: one thread a process that writes; jobs that wait together are committed together.

    StorageUnavailable    the database did not take it, or too much is waiting already: nothing was written

A commit costs the same for one row as for a hundred, and SQLite has room for one writer at a time: so writers queue
here, in memory and in order, and not inside the database.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

import msgspec
from django.db import InterfaceError, OperationalError, connection, transaction

from storage import statement_batch
from storage.connection_recovery import driver, is_broken, lost_to_another, release
from telemetry import metrics

Result = TypeVar("Result")

MAX_WAITING: Final = 10_000
"""Jobs that may wait at once."""

NO_SPACE: Final = ("database or disk is full", "disk I/O error", "No space left on device")
"""What SQLite (where it cannot let its log grow, too) and PostgreSQL say then."""

MAX_BATCH: Final = 256
"""Jobs that one transaction takes."""


class StorageUnavailable(Exception):
    """The database is locked, full or gone, or the queue in front of it is full. Nothing was written."""


class StorageFull(StorageUnavailable):
    """The database has no space left. Nothing was written."""


def unavailable(error: Exception) -> StorageUnavailable:
    """What the database's own error is to those who wait for it."""
    told = str(error).strip() or "The database does not answer."
    return StorageFull(told) if any(word in told for word in NO_SPACE) else StorageUnavailable(told)


class _Job(msgspec.Struct, frozen=True):
    run: Callable[[], Any]
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Any]"


class _Outcome(msgspec.Struct, frozen=True):
    job: _Job
    result: Any
    error: Exception | None = None


class Writer:
    """Runs jobs, sync functions that use the default database connection, in one thread of its own."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self.is_failing = False
        """Whether the database did not take what was committed last."""

    async def write(self, job: Callable[[], Result]) -> Result:
        """The job's result, once it is committed. Raises what the job raises, or `StorageUnavailable`."""
        return await self.submit(job)

    def submit(self, job: Callable[[], Result]) -> "asyncio.Future[Result]":
        """The same for who does something else meanwhile: it is committed before whatever is submitted later.

        Raises `StorageUnavailable` where too much is waiting.
        """
        if self._jobs.qsize() >= MAX_WAITING:
            raise StorageUnavailable("Too many writes are waiting for the database.")
        if self._thread is None:
            self._start()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._jobs.put(_Job(job, loop, future))
        return future

    def waiting(self) -> int:
        """How many jobs wait for the thread."""
        return self._jobs.qsize()

    def close(self) -> None:
        """Writes what waits, and ends the thread."""
        with self._starting:
            if self._thread is not None:
                self._jobs.put(None)
                self._thread.join()
                self._thread = None

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="storage-writer", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while (first := self._jobs.get()) is not None:
            batch, ended = self._gather(first)
            began = time.perf_counter()
            outcomes = _commit(batch)
            metrics.committed(time.perf_counter() - began)
            self.is_failing = any(isinstance(outcome.error, StorageUnavailable) for outcome in outcomes)
            _deliver(outcomes)
            if ended:
                break
        connection.close()

    def _gather(self, first: _Job) -> tuple[list[_Job], bool]:
        batch = [first]
        with contextlib.suppress(Empty):
            while len(batch) < MAX_BATCH:
                job = self._jobs.get_nowait()
                if job is None:
                    return batch, True
                batch.append(job)
        return batch, False


writer = Writer()
metrics.writes_waiting.read = writer.waiting


def _commit(batch: Sequence[_Job], *, again: bool = False) -> list[_Outcome]:
    """All in one transaction; where one of them fails by its own fault, or blocked another's, each in its own.

    On a connection that was broken before the commit it is tried once more: nothing can have been written.
    """
    uncommitted, used = True, None
    try:
        with transaction.atomic():
            used = driver()
            with statement_batch.collected():
                outcomes = [_Outcome(job, job.run()) for job in batch]
            uncommitted = False
    except (OperationalError, InterfaceError) as error:
        if lost_to_another(error) and len(batch) > 1:
            return _one_by_one(batch)
        stale = uncommitted and is_broken(used) and not again
        release()
        if stale:
            return _commit(batch, again=True)
        failure = unavailable(error)
        return [_Outcome(job, None, failure) for job in batch]
    except Exception as error:  # noqa: BLE001 - a job's failure is its caller's, who gets it through the future
        return [_Outcome(batch[0], None, error)] if len(batch) == 1 else _one_by_one(batch)
    return outcomes


def _one_by_one(batch: Sequence[_Job]) -> list[_Outcome]:
    return [_commit([job])[0] for job in batch]


def _deliver(outcomes: Sequence[_Outcome]) -> None:
    for loop in {outcome.job.loop for outcome in outcomes}:
        own = [outcome for outcome in outcomes if outcome.job.loop is loop]
        with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve, own)


def _resolve(outcomes: Sequence[_Outcome]) -> None:
    for outcome in outcomes:
        future = outcome.job.future
        if future.done():
            continue
        if outcome.error is None:
            future.set_result(outcome.result)
        else:
            future.set_exception(outcome.error)
