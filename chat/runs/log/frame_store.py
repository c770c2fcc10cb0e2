"""What is kept of this process's own runs. Sync functions, each a part of one transaction of the writer.

NotOwner              the run is this process's no more
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, TypeVar
from uuid import UUID

import msgspec
from django.utils import timezone

from chat.models import Run, RunEvent
from chat.runs.cluster import process
from storage.statements import Insert, Locked
from storage.writer import StorageUnavailable

Result = TypeVar("Result")

NOT_OWNER: Final = "Another process took this one for dead, and ended the run."

_insert_frames = Insert(RunEvent, "run", "first", "last", "frames", "created")
_select_own = Locked(Run, "process", status=Run.Status.RUNNING)


class NotOwner(StorageUnavailable):
    """The run is this process's no more: another has ended it, taking this one for dead. Nothing was written."""


class Frames(msgspec.Struct, frozen=True):
    """Consecutive frames of one run."""

    run_id: UUID
    first: int
    last: int
    frames: bytes


def save_batch(batches: Sequence[Frames], records: Sequence[tuple[UUID, Callable[[], None]]]) -> frozenset[UUID]:
    """Writes a batch of the journal: frames of many runs, and the rows that belong to them, in their order.

    Returns the runs of which nothing was written, because they are this process's no more.
    """
    runs = {batch.run_id for batch in batches} | {run_id for run_id, _ in records}
    own = _own(runs)
    save_frames([batch for batch in batches if batch.run_id in own])
    for run_id, record in records:
        if run_id in own:
            record()
    return frozenset(runs - own)


def run_if_owner(run_id: UUID, job: Callable[[], Result]) -> Result:
    """The job's result, where the run is this process's. Raises `NotOwner`."""
    if not _own({run_id}):
        raise NotOwner(NOT_OWNER)
    return job()


def save_frames(batches: Iterable[Frames]) -> None:
    """Writes frames, whosever their runs are."""
    now = timezone.now()
    _insert_frames((batch.run_id, batch.first, batch.last, batch.frames, now) for batch in batches)


def _own(runs: Collection[UUID]) -> set[UUID]:
    """Those of the runs that this process owns; nobody takes one away before the transaction ends."""
    return _select_own(runs, process.name())
