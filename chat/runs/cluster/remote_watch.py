"""News of runs that do not live in this process: one query for all that anybody here follows, at a steady pace."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from uuid import UUID

from storage.writer import StorageUnavailable

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.2

Newest = Callable[[Sequence[UUID]], Awaitable[Sequence[tuple[UUID, int | None, str]]]]
"""Of each run that there still is: its id, the number of its last stored event, and its process."""

FOLLOW_SECONDS: Final = 1.0
"""How often the owners of followed runs are asked to send word."""


class RemoteWatch:
    """Wakes those who wait for more of a run."""

    def __init__(self, newest: Newest, follow: Callable[[Sequence[tuple[UUID, str]]], None]) -> None:
        self._newest = newest
        self._follow = follow
        self._follow_at = 0.0
        self._waiting: dict[UUID, list[tuple[int, asyncio.Future[None]]]] = defaultdict(list)
        self._task: asyncio.Task[None] | None = None
        self._asked: dict[UUID, float] = {}

    def followed(self, seconds: float) -> list[UUID]:
        """The runs that somebody here has waited for within these seconds."""
        now = asyncio.get_running_loop().time()
        self._asked.update(dict.fromkeys(self._waiting, now))
        self._asked = {run_id: when for run_id, when in self._asked.items() if now - when <= seconds}
        return list(self._asked)

    def changed(self, run_id: UUID, cursor: int) -> "asyncio.Future[None]":
        """A future that is done when more is stored of the run behind `cursor`, or it is gone or lives here."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[run_id].append((cursor, future))
        self._asked[run_id] = asyncio.get_running_loop().time()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._poll())
        return future

    def wake(self, run_id: UUID) -> None:
        """Wakes all who wait for the run."""
        for _, future in self._waiting.pop(run_id, ()):
            if not future.done():
                future.set_result(None)

    def close(self) -> None:
        """Ends the polling; who waits is woken."""
        for run_id in list(self._waiting):
            self.wake(run_id)
        if self._task is not None:
            self._task.cancel()

    async def _poll(self) -> None:
        while self._forget_done():
            await asyncio.sleep(POLL_SECONDS)
            try:
                newest = await self._newest(list(self._waiting))
            except StorageUnavailable as error:
                logger.warning("watch.unavailable", extra={"error": str(error)})
                continue
            self._ask_owners([(run_id, process) for run_id, _, process in newest if process])
            last = {run_id: last or 0 for run_id, last, _ in newest}
            for run_id, waiting in list(self._waiting.items()):
                if run_id not in last or any(last[run_id] > cursor for cursor, _ in waiting):
                    self.wake(run_id)
        self._task = None

    def _ask_owners(self, runs: Sequence[tuple[UUID, str]]) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._follow_at:
            self._follow_at = now + FOLLOW_SECONDS
            self._follow(runs)

    def _forget_done(self) -> bool:
        """Whether anybody still waits."""
        for run_id, waiting in list(self._waiting.items()):
            left = [entry for entry in waiting if not entry[1].done()]
            if left:
                self._waiting[run_id] = left
            else:
                del self._waiting[run_id]
        return bool(self._waiting)
