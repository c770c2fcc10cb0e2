"""The durable side of every run's event log in this process.

Tokens and reasoning are published at once and stored within `JOURNAL_SECONDS`. Every other frame is stored before it
is published.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final
from uuid import UUID

import msgspec

from chat.engine.events import Event
from chat.engine.model_port import Text
from chat.runs.log.broadcast import Broadcast
from chat.runs.log.frame_store import NOT_OWNER, Frames, NotOwner
from chat.wire import sse
from storage.writer import StorageUnavailable

logger = logging.getLogger(__name__)

PATIENCE: Final = 30.0
"""Seconds for which a batch is retried while the database does not commit it."""

RETRY_SECONDS: Final = 0.5

Record = Callable[[], None]
"""A sync function that writes rows beside the frames, in their transaction."""


class Batch(msgspec.Struct, frozen=True):
    """Frames and rows that are committed together."""

    frames: Sequence[Frames]
    records: Sequence[tuple[UUID, Record]]


Commit = Callable[[Batch], Awaitable[Collection[UUID]]]
"""Stores a batch, and returns the runs that this process no longer owns, of which nothing was stored.

Raises `StorageUnavailable`.
"""


Recall = Callable[[Batch], Awaitable[Collection[UUID]]]
"""Returns the runs of a batch whose frames were stored by a commit that seemed to fail.

Raises `StorageUnavailable`.
"""


async def recall_nothing(_: Batch) -> Collection[UUID]:
    """Return no run: a commit that seems to fail has failed."""
    return ()


class RunLog:
    """The event log of a run: numbers its events, encodes each once, publishes them, and has them stored."""

    def __init__(
        self, run_id: UUID, journal: "Journal", broadcast: Broadcast, lost: Callable[[StorageUnavailable], None]
    ) -> None:
        self.broadcast = broadcast
        self.run_id = run_id
        self._journal = journal
        self._lost = lost
        self._last = broadcast.last
        self._unstored: list[bytes] = []
        self._stored_to = broadcast.last
        self._held: list[tuple[int, bytes]] = []
        self._records: list[Record] = []
        self._in_flight = False
        self._settled: asyncio.Future[None] | None = None

    def tokens(self, text: Text) -> None:
        """Append `token` events. They are published at once, unless a frame before them is not stored yet."""
        count = len(text.pieces)
        frames = sse.token_frames(self._last + 1, text.pieces)
        self._last += count
        self._unstored.append(frames)
        # Frames are published in order, so tokens after an event that is not stored yet wait with it.
        if self._held:
            self._held.append((count, frames))
        else:
            self.broadcast.publish(count, frames)
        self._journal.later(self)

    def append(self, event: Event, *, urgent: bool = True, live: bool = False) -> None:
        """Append an event. It is published once it is stored: at once if `urgent`, else with what comes next.

        A `live` event is published as tokens are, before it is stored.
        """
        self._last += 1
        frame = sse.frame(self._last, event)
        self._unstored.append(frame)
        if live and not self._held:
            self.broadcast.publish(1, frame)
        else:
            self._held.append((1, frame))
        if urgent:
            self._journal.now(self)
        else:
            self._journal.later(self)

    def record(self, record: Record) -> None:
        """Write rows in the transaction of the frames around them."""
        self._records.append(record)
        self._journal.later(self)

    async def settled(self) -> None:
        """Wait until everything so far is stored and published. Raise `StorageUnavailable` after giving up."""
        if self._unstored or self._records or self._in_flight:
            if self._settled is None:
                self._settled = asyncio.get_running_loop().create_future()
            # One waiter that is cancelled must not cancel the future for the others.
            await asyncio.shield(self._settled)

    def discard(self) -> None:
        """Discard the frames that were not stored: another process owns the run and its log."""
        self._held = []

    def publish_unstored(self) -> None:
        """Publish the frames that were not stored, so that a reader gets the end of its stream even then."""
        self._publish(len(self._held))

    def take(self) -> "Portion":
        """Return the portion that is to be stored. `stored` or `lost` is called with the outcome."""
        unstored = b"".join(self._unstored)
        frames = [Frames(self.run_id, self._stored_to + 1, self._last, unstored)] if unstored else []
        portion = Portion(log=self, frames=frames, records=self._records, held=len(self._held))
        self._stored_to = self._last
        self._unstored, self._records, self._in_flight = [], [], True
        return portion

    def stored(self, held: int) -> None:
        self._in_flight = False
        self._publish(held)
        if self._settled is not None and not self._unstored and not self._records:
            self._settled.set_result(None)
            self._settled = None

    def lost(self, error: StorageUnavailable) -> None:
        self._in_flight = False
        if self._settled is not None:
            self._settled.set_exception(error)
            self._settled = None
        self._lost(error)

    def _publish(self, entries: int) -> None:
        if entries:
            ready, self._held = self._held[:entries], self._held[entries:]
            self.broadcast.publish(sum(count for count, _ in ready), b"".join([frames for _, frames in ready]))


class Portion(msgspec.Struct, frozen=True, kw_only=True):
    """One run's part of a batch. `held` entries of its log are published once it is stored."""

    log: RunLog
    frames: Sequence[Frames]
    records: Sequence[Record]
    held: int


class Journal:
    """Commits the frames of all logs, one batch at a time: every `seconds`, or at once if a frame is urgent."""

    # All runs share one journal, so that the frames of a thousand streams cost one transaction instead of a thousand.

    def __init__(
        self,
        commit: Commit,
        *,
        seconds: float,
        committed: Callable[[Collection[UUID]], None] = lambda _: None,
        recall: Recall = recall_nothing,
    ) -> None:
        self._commit = commit
        self._recall = recall
        self._committed = committed
        self._seconds = seconds
        self._waiting: dict[RunLog, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._urgent = False

    def later(self, log: RunLog) -> None:
        """Store the log's frames with the next batch."""
        self._waiting[log] = None
        if self._timer is None and self._task is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._start)

    def now(self, log: RunLog) -> None:
        """Store the log's frames as soon as possible: a subscriber waits for them."""
        self._waiting[log] = None
        self._urgent = True
        if self._task is None:
            if self._timer is not None:
                self._timer.cancel()
            self._start()

    def _start(self) -> None:
        self._timer = None
        self._task = asyncio.get_running_loop().create_task(self._store_batches())

    async def _store_batches(self) -> None:
        while self._waiting:
            self._urgent = False
            portions = [log.take() for log in self._waiting]
            self._waiting = {}
            await self._store(portions)
            if not self._urgent:
                break
        self._task = None
        if self._waiting:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._start)

    async def _store(self, portions: Sequence[Portion]) -> None:
        batch = Batch(
            frames=[frames for portion in portions for frames in portion.frames],
            records=[(portion.log.run_id, record) for portion in portions for record in portion.records],
        )
        try:
            gone = await self._commit_with_retries(batch)
        except StorageUnavailable as error:
            logger.error("journal.lost", extra={"error": str(error), "runs": len(portions)})  # noqa: TRY400 - its cause is in the message
            for portion in portions:
                portion.log.lost(error)
        except Exception:
            # The database rejects the frames or rows of one run. Storing each run's by themselves finds that run, and
            # saves the others.
            if len(portions) > 1:
                for portion in portions:
                    await self._store([portion])
                return
            logger.exception("journal.broken")
            for portion in portions:
                portion.log.lost(StorageUnavailable("The database rejected the run's events."))
        else:
            for portion in portions:
                if portion.log.run_id in gone:
                    portion.log.lost(NotOwner(NOT_OWNER))
                else:
                    portion.log.stored(portion.held)
            self._committed({portion.log.run_id for portion in portions})

    async def _commit_with_retries(self, batch: Batch) -> Collection[UUID]:
        deadline = time.monotonic() + PATIENCE
        failed = False
        while True:
            try:
                # The commit may have succeeded although its reply was lost; a second one would then break a constraint.
                if failed and (stored := await self._recall(batch)):
                    return {frames.run_id for frames in batch.frames} - set(stored)
                return await self._commit(batch)
            except StorageUnavailable:
                if time.monotonic() >= deadline:
                    raise
                failed = True
                await asyncio.sleep(RETRY_SECONDS)
