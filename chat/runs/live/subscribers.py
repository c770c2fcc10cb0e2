"""Who follows a run here, and that it is given up where nobody does for too long."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from math import inf
from typing import Final

import msgspec

from storage.writer import StorageUnavailable

ASK_SECONDS: Final = 1.0
"""The least time between two looks for followers in other processes."""


class StreamTimeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds: of silence before a ping, before an unfollowed run is cancelled, before a stalled reader is dropped."""

    heartbeat: float
    grace: float
    slow_reader: float


class Subscribers:
    """Counts followers. `give_up` is called once nobody has followed for `grace` seconds, here or elsewhere.

    With an endless `grace` it never is.
    """

    def __init__(
        self, grace: float, *, give_up: Callable[[], None], followed_elsewhere: Callable[[], Awaitable[bool]]
    ) -> None:
        self._grace = grace
        self._give_up = give_up
        self._followed_elsewhere = followed_elsewhere
        self.followers = 0
        self._timer: asyncio.TimerHandle | None = None
        self._asking: asyncio.Task[None] | None = None
        self._closed = False

    def joined(self) -> None:
        """Somebody follows the run: while anybody does, it is not given up."""
        self.followers += 1
        self._be_patient()

    def left(self) -> None:
        """Somebody follows the run no more."""
        self.followers -= 1
        if self.followers == 0 and self._grace < inf and not self._closed:
            self._look_in(self._grace)

    def close(self) -> None:
        """The run has ended here: there is nothing to give up any more."""
        self._closed = True
        self._be_patient()

    def _be_patient(self) -> None:
        for pending in (self._timer, self._asking):
            if pending is not None:
                pending.cancel()
        self._timer = self._asking = None

    def _look_in(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        """Nobody has followed the run here for too long."""
        self._asking = asyncio.get_running_loop().create_task(self._give_up_unless_followed())

    async def _give_up_unless_followed(self) -> None:
        followed = False
        with contextlib.suppress(StorageUnavailable):
            followed = await self._followed_elsewhere()
        if followed:
            self._look_in(max(ASK_SECONDS, self._grace))
        else:
            self._give_up()
