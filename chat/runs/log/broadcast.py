"""One run's event log in memory. Frames are appended once, as bytes, and read by any number of subscriptions."""

import asyncio
from bisect import bisect_right
from typing import Final

from chat.wire import sse

# A late subscriber's backlog would otherwise be a second copy of the whole log in memory.
MAX_AT_ONCE: Final = 256 * 1_024
"""Bytes that one write hands to a connection."""


class Broadcast:
    """The frames after number `base`. `last` is the number of the newest one.

    When it is `closed`, no more frames come here. If it is also `suspended`, the run continues or ended elsewhere, and
    the database has the rest.
    """

    def __init__(self, base: int = 0) -> None:
        self.base = base
        self.last = base
        self.closed = False
        self.suspended = False
        self._firsts: list[int] = []
        self._frames: list[bytes] = []
        self._waiting: list[asyncio.Future[None]] = []

    def publish(self, count: int, frames: bytes) -> None:
        """Append the next `count` frames, and wake the waiting subscriptions."""
        self._firsts.append(self.last + 1)
        self._frames.append(frames)
        self.last += count
        self._wake()

    def close(self, *, suspended: bool = False) -> None:
        self.closed = True
        self.suspended = suspended
        self._wake()

    def after(self, cursor: int) -> tuple[int, bytes]:
        """Return frames after number `cursor` (at least `base`), and the number of the last one.

        One call returns little more than `MAX_AT_ONCE` bytes.
        """
        if cursor >= self.last:
            return self.last, b""
        # Almost every read is of the newest frames, which need no search and no copy.
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
        """Return all frames so far."""
        return b"".join(self._frames)

    def changed(self, loop: asyncio.AbstractEventLoop) -> "asyncio.Future[None]":
        """Return a future that is done after the next frames, or when the broadcast closes."""
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.append(future)
        return future

    async def ended(self) -> None:
        """Wait until the broadcast closes."""
        while not self.closed:
            await self.changed(asyncio.get_running_loop())

    def _wake(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)
