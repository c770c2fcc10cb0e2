"""A subscription to a run: from memory if the run is in this process, otherwise from the database.

A run may move while it is followed: it waits for an approval, and then continues in any process.
"""

import asyncio
from typing import Protocol

import msgspec

from chat.runs.log.broadcast import Broadcast
from chat.wire import sse
from telemetry import metrics


class Living(Protocol):
    """A run of this process."""

    @property
    def broadcast(self) -> Broadcast: ...

    def joined(self) -> None:
        """Add a subscriber."""
        ...

    def left(self) -> None:
        """Remove a subscriber."""
        ...


class Stored(msgspec.Struct, frozen=True):
    """The next stored frames, and the number of the last one. Without frames, `over` means that the run ended."""

    last: int
    frames: bytes
    over: bool = False


class Source(Protocol):
    """The places from which a run can be followed."""

    def living(self) -> Living | None:
        """Return the run if it is in this process."""
        ...

    async def stored(self, cursor: int) -> Stored:
        """Return stored frames after number `cursor`. Raise `StorageUnavailable`."""
        ...

    def changed(self, cursor: int) -> "asyncio.Future[None]":
        """Return a future that is done when more is stored after `cursor`, or the run is in this process."""
        ...


class Subscription:
    """An async iterator over a run's frames after number `cursor`, with a ping after `heartbeat` seconds of silence.

    If its reader takes nothing for `patience` seconds, it is `dropped`: the sending task is cancelled. The reader can
    return with its cursor.
    """

    # Each subscription only keeps its position, and takes all pending frames at once. A burst of tokens is therefore
    # one write, and a slow reader does not delay the others.

    def __init__(self, source: Source, cursor: int, *, heartbeat: float, patience: float) -> None:
        self._source = source
        self._cursor = cursor
        self._heartbeat = heartbeat
        self._patience = patience
        self._run: Living | None = None
        self._loop = asyncio.get_running_loop()
        self._moved = self._loop.time()
        self._pending: asyncio.Future[None] | None = None
        self._pings = False
        self._over = False
        self.dropped = False
        self._task: asyncio.Task[object] | None = None
        self._timer = self._loop.call_later(heartbeat, self._tick)
        self._closed = False
        metrics.followers.add(1)
        self._join()

    def __aiter__(self) -> "Subscription":
        return self

    async def __anext__(self) -> bytes:
        if self._task is None:
            self._task = asyncio.current_task()
        while True:
            run = self._run
            if run is not None and self._cursor >= run.broadcast.base:
                self._cursor, frames = run.broadcast.after(self._cursor)
                if not frames and not self._pings:
                    if run.broadcast.closed:
                        self._over = not run.broadcast.suspended
                        self._leave()
                    else:
                        self._pending = run.broadcast.changed(self._loop)
                        await self._pending
                        self._pending = None
            else:
                frames = await self._from_store()
            if not frames and self._pings:
                self._pings = False
                frames = sse.PING
            if frames:
                self._moved = self._loop.time()
                return frames
            if self._over:
                self.close()
                raise StopAsyncIteration

    def close(self) -> None:
        """Stop following. Calling this again is safe."""
        if not self._closed:
            self._closed = True
            metrics.followers.add(-1)
        self._timer.cancel()
        self._leave()

    async def _from_store(self) -> bytes:
        """Return the next stored frames; nothing after a change, at the end of the run, or if the run is here now."""
        # Registered before the query: frames stored between the query and the wait would otherwise be missed.
        changed = self._source.changed(self._cursor)
        try:
            stored = await self._source.stored(self._cursor)
            if stored.frames:
                self._cursor = stored.last
                return stored.frames
            self._over = stored.over
            if not (stored.over or self._join()):
                self._pending = changed
                await changed
                self._pending = None
            return b""
        finally:
            # The watch polls the database until every future that it returned is done.
            changed.cancel()

    def _join(self) -> bool:
        """Follow the run in this process if it is here. Return whether it is."""
        run = self._source.living()
        if run is None or run.broadcast.suspended:
            return False
        self._run = run
        run.joined()
        return True

    def _leave(self) -> None:
        if self._run is not None:
            run, self._run = self._run, None
            run.left()

    def _tick(self) -> None:
        # One timer for both limits, which is not restarted for every token.
        silent = self._loop.time() - self._moved
        if self._pending is not None and not self._pending.done():
            if silent >= self._heartbeat:
                self._pings = True
                self._pending.set_result(None)
        elif silent >= self._patience and self._task is not None:
            self.dropped = True
            self._task.cancel()
            return
        wait = self._heartbeat - silent if silent < self._heartbeat else self._heartbeat
        self._timer = self._loop.call_later(wait, self._tick)


class SubscriptionWithoutReasoning(Subscription):
    """A subscription of a caller without the scope `reasoning`, who may follow a run that shows it."""

    async def __anext__(self) -> bytes:
        return sse.without_reasoning(await super().__anext__())
