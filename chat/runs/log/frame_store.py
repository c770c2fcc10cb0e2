"""The stored frames of this process's own runs. Sync functions, each part of one transaction of the writer.

NotOwner              this process lost its lease on the run
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, TypeVar
from uuid import UUID

import msgspec
from django.utils import timezone

from chat.models import Run, RunEvent
from kernel import process
from storage.statements import Insert, Locked
from storage.writer import StorageUnavailable

Result = TypeVar("Result")

NOT_OWNER: Final = "This process lost its lease on the run."

_insert_frames = Insert(RunEvent, "run", "first", "last", "frames", "created")
_select_own = Locked(Run, "process", status=Run.Status.RUNNING)


class NotOwner(StorageUnavailable):
    """A write to a run whose lease this process lost, because another process ended it. Nothing was written."""


class Frames(msgspec.Struct, frozen=True):
    """Consecutive frames of one run."""

    run_id: UUID
    first: int
    last: int
    frames: bytes


def save_batch(batches: Sequence[Frames], records: Sequence[tuple[UUID, Callable[[], None]]]) -> frozenset[UUID]:
    """Write a batch of the journal: frames of many runs, and the rows that belong to them, in their order.

    Return the runs that this process no longer owns; nothing of them is written.
    """
    runs = {batch.run_id for batch in batches} | {run_id for run_id, _ in records}
    own = _own(runs)
    save_frames([batch for batch in batches if batch.run_id in own])
    for run_id, record in records:
        if run_id in own:
            record()
    return frozenset(runs - own)


def run_if_owner(run_id: UUID, job: Callable[[], Result]) -> Result:
    """Run the job if this process owns the run, and return its result. Raise `NotOwner`."""
    if not _own({run_id}):
        raise NotOwner(NOT_OWNER)
    return job()


def save_frames(batches: Iterable[Frames]) -> None:
    """Write frames of any process's runs."""
    now = timezone.now()
    _insert_frames((batch.run_id, batch.first, batch.last, batch.frames, now) for batch in batches)


def _own(runs: Collection[UUID]) -> set[UUID]:
    # The rows stay locked until the transaction ends, so no other process can take over a run before the commit.
    return _select_own(runs, process.name())
