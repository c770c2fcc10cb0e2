"""The subscribers of a run in this process. A run without any is given up after a grace period."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from math import inf
from typing import Final

import msgspec

from storage.writer import StorageUnavailable

MIN_CHECK_SECONDS: Final = 1.0
"""The minimum time between two checks for subscribers in other processes, in seconds."""


class StreamTimeouts(msgspec.Struct, frozen=True, kw_only=True):
    """The seconds of silence before a ping, before an unfollowed run is cancelled, and before a reader is dropped."""

    heartbeat: float
    grace: float
    slow_reader: float


class Subscribers:
    """Counts subscribers, and calls `give_up` after `grace` seconds without any, in this process or another.

    An infinite `grace` never gives up.
    """

    def __init__(
        self, grace: float, *, give_up: Callable[[], None], followed_elsewhere: Callable[[], Awaitable[bool]]
    ) -> None:
        self._grace = grace
        self._give_up = give_up
        self._followed_elsewhere = followed_elsewhere
        self.followers = 0
        self._timer: asyncio.TimerHandle | None = None
        self._checking: asyncio.Task[None] | None = None
        self._closed = False

    def joined(self) -> None:
        """Add a subscriber, and stop waiting for the end of the grace period."""
        self.followers += 1
        self._stop_waiting()

    def left(self) -> None:
        """Remove a subscriber."""
        self.followers -= 1
        if self.followers == 0 and self._grace < inf and not self._closed:
            self._check_in(self._grace)

    def close(self) -> None:
        """Stop for good: the run has ended in this process."""
        self._closed = True
        self._stop_waiting()

    def _stop_waiting(self) -> None:
        for pending in (self._timer, self._checking):
            if pending is not None:
                pending.cancel()
        self._timer = self._checking = None

    def _check_in(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()

        def check() -> None:
            self._checking = loop.create_task(self._give_up_unless_followed())

        self._timer = loop.call_later(seconds, check)

    async def _give_up_unless_followed(self) -> None:
        followed = False
        # Without an answer from the database, the run counts as not followed anywhere.
        with contextlib.suppress(StorageUnavailable):
            followed = await self._followed_elsewhere()
        if followed:
            self._check_in(max(MIN_CHECK_SECONDS, self._grace))
        else:
            self._give_up()
