"""Group commit: one writing thread per process commits the jobs that wait together.

    StorageUnavailable    the database rejected the write, or the queue is full: nothing was written

A commit costs the same for one row as for a hundred, and SQLite allows one writer at a time. So writers queue here, in
memory and in order, and not inside the database.
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
"""Jobs that may wait at the same time."""

NO_SPACE: Final = ("database or disk is full", "disk I/O error", "No space left on device")
"""Messages of a full disk from SQLite (also when its log cannot grow) and PostgreSQL."""

MAX_BATCH: Final = 256
"""Jobs of one transaction."""


class StorageUnavailable(Exception):
    """The database is locked, full or gone, or the queue is full. Nothing was written."""


class StorageFull(StorageUnavailable):
    """The disk of the database is full. Nothing was written."""


def unavailable(error: Exception) -> StorageUnavailable:
    """Return the error to raise for one of the database's own."""
    message = str(error).strip() or "The database does not answer."
    return StorageFull(message) if any(word in message for word in NO_SPACE) else StorageUnavailable(message)


class _Job(msgspec.Struct, frozen=True):
    run: Callable[[], Any]
    loop: asyncio.AbstractEventLoop | None
    future: "asyncio.Future[Any] | None"


class _Outcome(msgspec.Struct, frozen=True):
    job: _Job
    result: Any
    error: Exception | None = None


class Writer:
    """Runs jobs in a thread of its own: sync functions that use the default database connection."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self.is_failing = False
        """True if the last commit failed."""

    async def write(self, job: Callable[[], Result]) -> Result:
        """Return the job's result after its commit. Raises the job's errors and `StorageUnavailable`."""
        return await self.submit(job)

    def submit(self, job: Callable[[], Result]) -> "asyncio.Future[Result]":
        """Queue a job and return a future of its result. It commits before every job that is submitted later.

        Raises `StorageUnavailable` if the queue is full.
        """
        if self._jobs.qsize() >= MAX_WAITING:
            raise StorageUnavailable("Too many writes are waiting for the database.")
        if self._thread is None:
            # The writer belongs to the process: event loops in several threads may use it first at the same time.
            with self._starting:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._work, name="storage-writer", daemon=True)
                    self._thread.start()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._jobs.put(_Job(job, loop, future))
        return future

    def post(self, job: Callable[[], object]) -> None:
        """Queue a job from any thread, without waiting for its result; a full queue drops it."""
        if self._thread is not None and self._jobs.qsize() < MAX_WAITING:
            self._jobs.put(_Job(job, None, None))

    def waiting(self) -> int:
        """Return the number of jobs in the queue."""
        return self._jobs.qsize()

    def close(self) -> None:
        """Write the queued jobs, and end the thread."""
        with self._starting:
            if self._thread is not None:
                self._jobs.put(None)
                self._thread.join()
                self._thread = None

    def _work(self) -> None:
        while (first := self._jobs.get()) is not None:
            batch, ended = [first], False
            with contextlib.suppress(Empty):
                while len(batch) < MAX_BATCH and not ended:
                    job = self._jobs.get_nowait()
                    if job is None:
                        ended = True
                    else:
                        batch.append(job)
            began = time.perf_counter()
            outcomes = _commit(batch)
            metrics.committed(time.perf_counter() - began)
            self.is_failing = any(isinstance(outcome.error, StorageUnavailable) for outcome in outcomes)
            for loop in {outcome.job.loop for outcome in outcomes if outcome.job.loop is not None}:
                own = [outcome for outcome in outcomes if outcome.job.loop is loop]
                # A closed event loop raises RuntimeError: with it, the callers are gone.
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(_resolve, own)
            if ended:
                break
        connection.close()


writer = Writer()
metrics.writes_waiting.read = writer.waiting


def _commit(batch: Sequence[_Job], *, again: bool = False) -> list[_Outcome]:
    """Run all jobs in one transaction. If one fails or blocks another, run each in its own."""
    # After COMMIT was sent, a lost connection leaves it unknown whether it succeeded: then nothing may be repeated.
    uncommitted, used = True, None
    try:
        with transaction.atomic():
            used = driver()
            with statement_batch.collected():
                outcomes = [_Outcome(job, job.run()) for job in batch]
            uncommitted = False
    except (OperationalError, InterfaceError) as error:
        if lost_to_another(error) and len(batch) > 1:
            return [_commit([job])[0] for job in batch]
        # A pooled connection that the server closed while idle fails at its first statement: try a fresh one once.
        stale = uncommitted and is_broken(used) and not again
        release()
        if stale:
            return _commit(batch, again=True)
        failure = unavailable(error)
        return [_Outcome(job, None, failure) for job in batch]
    except Exception as error:  # noqa: BLE001 - a job's failure is its caller's, who gets it through the future
        # Only the faulty job may fail: each of the others commits in its own transaction.
        return [_Outcome(batch[0], None, error)] if len(batch) == 1 else [_commit([job])[0] for job in batch]
    return outcomes


def _resolve(outcomes: Sequence[_Outcome]) -> None:
    for outcome in outcomes:
        future = outcome.job.future
        if future is None or future.done():
            # The caller was cancelled while the job waited or ran.
            continue
        if outcome.error is None:
            future.set_result(outcome.result)
        else:
            future.set_exception(outcome.error)
