"""One run's event log in memory. Frames are appended once, as bytes, and taken by any number of followers."""

import asyncio
from bisect import bisect_right
from typing import Final

from chat.wire import sse

MAX_AT_ONCE: Final = 256 * 1_024
"""Bytes that one write hands to a connection, so that a late follower's backlog is not one more copy of the log."""


class Broadcast:
    """The frames behind number `base`, so far. `last` is the number of the newest.

    `closed` says that no more will come here: ever, or because the run is `parked` until an approval.
    """

    def __init__(self, base: int = 0) -> None:
        self.base = base
        self.last = base
        self.closed = False
        self.parked = False
        self._firsts: list[int] = []
        self._frames: list[bytes] = []
        self._waiting: list[asyncio.Future[None]] = []

    def publish(self, count: int, frames: bytes) -> None:
        """Appends the next `count` frames, and wakes who waits."""
        self._firsts.append(self.last + 1)
        self._frames.append(frames)
        self.last += count
        self._wake()

    def close(self, *, parked: bool = False) -> None:
        self.closed = True
        self.parked = parked
        self._wake()

    def after(self, cursor: int) -> tuple[int, bytes]:
        """The frames behind number `cursor` (no less than `base`), and the number of the last of them.

        As many as one write may hold, where there are more.
        """
        if cursor >= self.last:
            return self.last, b""
        if cursor + 1 == self._firsts[-1]:
            return self.last, self._frames[-1]
        place = bisect_right(self._firsts, cursor + 1) - 1
        parts = [sse.skip(self._frames[place], cursor + 1 - self._firsts[place])]
        size = len(parts[0])
        place += 1
        while place < len(self._frames) and size < MAX_AT_ONCE:
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
