"""Those who follow a run: from its feed where it lives in this process, else from what is stored of it.

A follower keeps a place in the log, and takes everything that is pending at once: a burst of tokens is one write, and a
slow follower costs the others nothing. A run may move while it is followed: it waits for an approval, and goes on here
or elsewhere.
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
        """Somebody follows it now."""
        ...

    def left(self) -> None:
        """Somebody follows it no more."""
        ...


class Stored(msgspec.Struct, frozen=True):
    """The next stored frames, the number of the last of them; and, where there are none, whether the run is over."""

    last: int
    frames: bytes
    over: bool = False


class Source(Protocol):
    """Where a run can be followed."""

    def living(self) -> Living | None:
        """The run, where it lives in this process."""
        ...

    async def stored(self, cursor: int) -> Stored:
        """What is stored behind number `cursor`. Raises `StorageUnavailable`."""
        ...

    def changed(self, cursor: int) -> "asyncio.Future[None]":
        """A future that is done when more is stored behind `cursor`, or the run lives here."""
        ...


class Subscription:
    """An async iterator over a run's frames from behind `cursor`, with a ping where it is silent.

    One whose reader takes nothing for `patience` seconds is `dropped`: the task that sends is cancelled, and the reader
    comes back by its cursor.
    """

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
                        self._over = not run.broadcast.parked
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
        """Stops following. Safe to call again."""
        if not self._closed:
            self._closed = True
            metrics.followers.add(-1)
        self._timer.cancel()
        self._leave()

    async def _from_store(self) -> bytes:
        """The next stored frames; nothing once there was a change to wait for, or the run is over or lives here."""
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
            changed.cancel()  # nobody waits for it any more, also where the reader leaves meanwhile

    def _join(self) -> bool:
        """Whether the run lives here; it is followed here from now on then."""
        run = self._source.living()
        if run is None or run.broadcast.parked:
            return False
        self._run = run
        run.joined()
        return True

    def _leave(self) -> None:
        if self._run is not None:
            run, self._run = self._run, None
            run.left()

    def _tick(self) -> None:
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
