"""The journal of this process over the database, and the one that stores nothing."""

from collections.abc import Callable, Collection
from functools import partial
from typing import Any
from uuid import UUID

from chat.runs.log import commit_recovery, frame_store
from chat.runs.log.journal import Batch, Journal
from storage.reader import read
from storage.writer import writer


def database_journal(seconds: float, committed: Callable[[Collection[UUID]], None]) -> Journal:
    """Return the journal of stored runs. It commits every `seconds`, and then reports the runs to `committed`."""
    return Journal(commit, seconds=seconds, committed=committed, recall=recall)


def memory_journal(seconds: float) -> Journal:
    """Return the journal of runs that are not stored. It publishes frames at the same pace."""
    return Journal(discard, seconds=seconds)


async def commit(batch: Batch) -> Collection[UUID]:
    """Commit a batch, as `journal.Commit` specifies."""
    return await writer.write(partial(frame_store.save_batch, batch.frames, batch.records))


async def recall(batch: Batch) -> Collection[UUID]:
    """Return the runs of a batch that a failed commit stored, as `journal.Recall` specifies."""
    return await read(commit_recovery.committed_runs, batch.frames)


async def discard(_: Batch) -> Collection[UUID]:
    """Store nothing, and report no lost run."""
    return ()


async def write_if_owner(run_id: UUID, job: Callable[[], Any]) -> Any:
    """Commit the job if this process owns the run, and return its result. Raise `NotOwner`, `StorageUnavailable`."""
    return await writer.write(partial(frame_store.run_if_owner, run_id, job))
