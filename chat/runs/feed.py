"""One run's event log in memory, and those who follow it.

Frames are appended once, as bytes. A follower keeps a place in the list of them, and takes everything that is pending
at once: a burst of tokens is one write, and a slow follower costs the others nothing.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Callable
from typing import Final

from chat.wire import sse

MOST_AT_ONCE: Final = 256 * 1_024
"""Bytes that one write hands to a connection, so that a late follower's backlog is not one more copy of the log."""


class Feed:
    """The frames so far. `last` is the number of the newest; `closed` says that no more will come."""

    def __init__(self) -> None:
        self.last = 0
        self.closed = False
        self._firsts: list[int] = []
        self._frames: list[bytes] = []
        self._waiting: list[asyncio.Future[None]] = []

    def publish(self, count: int, frames: bytes) -> None:
        """Appends the next `count` frames, and wakes who waits."""
        self._firsts.append(self.last + 1)
        self._frames.append(frames)
        self.last += count
        self._wake()

    def close(self) -> None:
        self.closed = True
        self._wake()

    def after(self, cursor: int) -> tuple[int, bytes]:
        """The frames behind number `cursor`, or as many as one write may hold, and the number of the last of them."""
        if cursor >= self.last:
            return self.last, b""
        if cursor + 1 == self._firsts[-1]:
            return self.last, self._frames[-1]
        place = bisect_right(self._firsts, cursor + 1) - 1
        parts = [sse.skip(self._frames[place], cursor + 1 - self._firsts[place])]
        size = len(parts[0])
        place += 1
        while place < len(self._frames) and size < MOST_AT_ONCE:
            parts.append(self._frames[place])
            size += len(self._frames[place])
            place += 1
        end = self._firsts[place] - 1 if place < len(self._firsts) else self.last
        return end, b"".join(parts)

    def frames(self) -> bytes:
        """All frames so far."""
        return b"".join(self._frames)

    def changed(self, loop: asyncio.AbstractEventLoop) -> "asyncio.Future[None]":
        """A future that is done when there is more, or no more will come."""
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.append(future)
        return future

    async def ended(self) -> None:
        """Waits until no more will come."""
        while not self.closed:
            await self.changed(asyncio.get_running_loop())

    def _wake(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)


class Follower:
    """An async iterator over a feed's frames from behind `cursor`, with a ping where it is silent.

    `left` is called once, when it ends or is closed. One whose reader takes nothing for `patience` seconds is
    `dropped`: the task that sends is cancelled, and the reader comes back by its cursor.
    """

    def __init__(self, feed: Feed, cursor: int, *, heartbeat: float, patience: float, left: Callable[[], None]) -> None:
        self._feed = feed
        self._cursor = cursor
        self._heartbeat = heartbeat
        self._patience = patience
        self._left: Callable[[], None] | None = left
        self._loop = asyncio.get_running_loop()
        self._moved = self._loop.time()
        self._pending: asyncio.Future[None] | None = None
        self._pings = False
        self.dropped = False
        self._task: asyncio.Task[object] | None = None
        self._timer = self._loop.call_later(heartbeat, self._tick)

    def __aiter__(self) -> "Follower":
        return self

    async def __anext__(self) -> bytes:
        if self._task is None:
            self._task = asyncio.current_task()
        while True:
            cursor, frames = self._feed.after(self._cursor)
            if frames:
                self._cursor = cursor
                self._moved = self._loop.time()
                return frames
            if self._pings:
                self._pings = False
                self._moved = self._loop.time()
                return sse.PING
            if self._feed.closed:
                self.close()
                raise StopAsyncIteration
            self._pending = self._feed.changed(self._loop)
            await self._pending
            self._pending = None

    def close(self) -> None:
        """Stops following. Safe to call again."""
        self._timer.cancel()
        if self._left is not None:
            left, self._left = self._left, None
            left()

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
