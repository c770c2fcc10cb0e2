"""The durable side of every run's event log in this process.

Tokens are published at once and kept within `JOURNAL_SECONDS`; every other frame is kept first and published then.
All runs share one rhythm, so that a moment's frames of a thousand streams are one transaction.
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
"""Seconds that a batch is tried again while the database does not take it."""

RETRY_SECONDS: Final = 0.5

Record = Callable[[], None]
"""A sync function that writes rows beside the frames, in their transaction."""


class Batch(msgspec.Struct, frozen=True):
    """What is committed together."""

    frames: Sequence[Frames]
    records: Sequence[tuple[UUID, Record]]


Commit = Callable[[Batch], Awaitable[Collection[UUID]]]
"""Keeps a batch, or raises `StorageUnavailable`.

Returns the runs that are this process's no more: nothing of them was kept.
"""


Recall = Callable[[Batch], Awaitable[Collection[UUID]]]
"""The runs of a batch whose frames were kept by a commit of it that seemed to fail, or raises `StorageUnavailable`."""


async def forgotten(_: Batch) -> Collection[UUID]:
    """What seems to fail has failed."""
    return ()


class RunLog:
    """Numbers a run's events, encodes each once, publishes them to its feed, and has them kept."""

    def __init__(
        self, run_id: UUID, journal: "Journal", broadcast: Broadcast, lost: Callable[[StorageUnavailable], None]
    ) -> None:
        self.broadcast = broadcast
        self.run_id = run_id
        self._journal = journal
        self._lost = lost
        self._last = broadcast.last
        self._unkept: list[bytes] = []
        self._kept_to = broadcast.last
        self._held: list[tuple[int, bytes]] = []
        self._records: list[Record] = []
        self._in_flight = False
        self._settled: asyncio.Future[None] | None = None

    def tokens(self, text: Text) -> None:
        """Appends `token` events: published at once, unless a frame before them is still to be kept."""
        count = len(text.pieces)
        frames = sse.token_frames(self._last + 1, text.pieces)
        self._last += count
        self._unkept.append(frames)
        if self._held:
            self._held.append((count, frames))
        else:
            self.broadcast.publish(count, frames)
        self._journal.later(self)

    def append(self, event: Event, *, urgent: bool = True) -> None:
        """Appends an event: published once it is kept, which is at once, or with what comes next."""
        self._last += 1
        frame = sse.frame(self._last, event)
        self._unkept.append(frame)
        self._held.append((1, frame))
        if urgent:
            self._journal.now(self)
        else:
            self._journal.later(self)

    def record(self, record: Record) -> None:
        """Has rows written in the transaction of the frames around it."""
        self._records.append(record)
        self._journal.later(self)

    async def settled(self) -> None:
        """Waits until all so far is kept and published. Raises `StorageUnavailable` where that was given up."""
        if self._unkept or self._records or self._in_flight:
            if self._settled is None:
                self._settled = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._settled)

    def drop(self) -> None:
        """Forgets what could not be kept: what is stored of the run is another's by now, and the truth."""
        self._held = []

    def abandon(self) -> None:
        """Publishes what could not be kept: a reader is owed the end of its stream even then."""
        self._publish(len(self._held))

    def take(self) -> "Portion":
        """Hands over what is to be kept; `kept` or `lost` says later what became of it."""
        frames = [Frames(self.run_id, self._kept_to + 1, self._last, b"".join(self._unkept))] if self._unkept else []
        portion = Portion(log=self, frames=frames, records=self._records, held=len(self._held))
        self._kept_to = self._last
        self._unkept, self._records, self._in_flight = [], [], True
        return portion

    def kept(self, held: int) -> None:
        self._in_flight = False
        self._publish(held)
        if self._settled is not None and not self._unkept and not self._records:
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
    """One run's part of a batch; `held` entries of its log are published once it is kept."""

    log: RunLog
    frames: Sequence[Frames]
    records: Sequence[Record]
    held: int


class Journal:
    """Commits what all logs have to keep: one batch at a time, every `seconds`, or at once where one must."""

    def __init__(
        self,
        commit: Commit,
        *,
        seconds: float,
        committed: Callable[[Collection[UUID]], None] = lambda _: None,
        recall: Recall = forgotten,
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
        """The log has frames that may lag."""
        self._waiting[log] = None
        if self._timer is None and self._task is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._start)

    def now(self, log: RunLog) -> None:
        """The log has something that others wait for."""
        self._waiting[log] = None
        self._urgent = True
        if self._task is None:
            if self._timer is not None:
                self._timer.cancel()
            self._start()

    def _start(self) -> None:
        self._timer = None
        self._task = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        while self._waiting:
            self._urgent = False
            portions = [log.take() for log in self._waiting]
            self._waiting = {}
            await self._keep(portions)
            if not self._urgent:
                break
        self._task = None
        if self._waiting:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._start)

    async def _keep(self, portions: Sequence[Portion]) -> None:
        batch = Batch(
            frames=[frames for portion in portions for frames in portion.frames],
            records=[(portion.log.run_id, record) for portion in portions for record in portion.records],
        )
        try:
            gone = await self._commit_patiently(batch)
        except StorageUnavailable as error:
            logger.error("journal.lost", extra={"error": str(error), "runs": len(portions)})  # noqa: TRY400 - its cause is in the message
            for portion in portions:
                portion.log.lost(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not end the journal of all the others
            await self._keep_apart(portions, error)
        else:
            for portion in portions:
                if portion.log.run_id in gone:
                    portion.log.lost(NotOwner(NOT_OWNER))
                else:
                    portion.log.kept(portion.held)
            self._committed({portion.log.run_id for portion in portions})

    async def _keep_apart(self, portions: Sequence[Portion], error: Exception) -> None:
        """One run's frames or rows are what no database takes: that run alone is lost."""
        if len(portions) > 1:
            for portion in portions:
                await self._keep([portion])
            return
        logger.exception("journal.broken", exc_info=error)
        for portion in portions:
            portion.log.lost(StorageUnavailable("The database cannot keep what the run is made of."))

    async def _commit_patiently(self, batch: Batch) -> Collection[UUID]:
        """Commits it, again and again while the database does not take it, unless it took it and could not say so."""
        deadline = time.monotonic() + PATIENCE
        again = False
        while True:
            try:
                if again and (kept := await self._recall(batch)):
                    return {frames.run_id for frames in batch.frames} - set(kept)
                return await self._commit(batch)
            except StorageUnavailable:
                if time.monotonic() >= deadline:
                    raise
                again = True
                await asyncio.sleep(RETRY_SECONDS)
