"""The watch on followed runs of other processes: one query for all of them, at a steady interval."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

from django.db.models import OuterRef, Subquery

from chat.models import Run, RunEvent
from storage.reader import read
from storage.writer import StorageUnavailable

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.2

FOLLOW_SECONDS: Final = 1.0
"""The interval at which the owners of followed runs are requested to send notifications, in seconds."""


class RemoteWatch:
    """The subscriptions of this process that wait for more of a run elsewhere.

    `follow` requests notifications from the owners of runs.
    """

    def __init__(self, follow: Callable[[Sequence[tuple[UUID, str]]], None] | None) -> None:
        self._follow = follow
        self._follow_at = 0.0
        self._waiting: dict[UUID, list[tuple[int, asyncio.Future[None]]]] = defaultdict(list)
        self._task: asyncio.Task[None] | None = None
        self._waited_at: dict[UUID, float] = {}
        self.on_first: Callable[[], None] = lambda: None
        """Called when a run gets its first subscription here, so that the run is marked at once."""

    def followed(self, seconds: float) -> list[UUID]:
        """Return the runs that a subscription has waited for within these seconds."""
        now = asyncio.get_running_loop().time()
        self._waited_at.update(dict.fromkeys(self._waiting, now))
        self._waited_at = {run_id: when for run_id, when in self._waited_at.items() if now - when <= seconds}
        return list(self._waited_at)

    def changed(self, run_id: UUID, cursor: int) -> "asyncio.Future[None]":
        """Return a future that is done when more is stored after `cursor`, or the run is gone or in this process."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[run_id].append((cursor, future))
        if run_id not in self._waited_at:
            self.on_first()
        self._waited_at[run_id] = asyncio.get_running_loop().time()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._poll())
        return future

    def wake(self, run_id: UUID) -> None:
        """Wake all subscriptions that wait for the run."""
        for _, future in self._waiting.pop(run_id, ()):
            if not future.done():
                future.set_result(None)

    def close(self) -> None:
        """Stop polling, and wake all waiting subscriptions."""
        for run_id in list(self._waiting):
            self.wake(run_id)
        if self._task is not None:
            self._task.cancel()

    async def _poll(self) -> None:
        while self._forget_done():
            await asyncio.sleep(POLL_SECONDS)
            try:
                newest = await read(newest_events, list(self._waiting))
            except StorageUnavailable as error:
                logger.warning("watch.unavailable", extra={"error": str(error)})
                continue
            now = asyncio.get_running_loop().time()
            if self._follow is not None and now >= self._follow_at:
                self._follow_at = now + FOLLOW_SECONDS
                self._follow([(run_id, process) for run_id, _, process in newest if process])
            last = {run_id: last or 0 for run_id, last, _ in newest}
            for run_id, waiting in list(self._waiting.items()):
                if run_id not in last or any(last[run_id] > cursor for cursor, _ in waiting):
                    self.wake(run_id)
        # `changed` starts the next poll, so an idle process makes no queries.
        self._task = None

    def _forget_done(self) -> bool:
        """Drop futures that are done or cancelled. Return whether any others are left."""
        for run_id, waiting in list(self._waiting.items()):
            left = [entry for entry in waiting if not entry[1].done()]
            if left:
                self._waiting[run_id] = left
            else:
                del self._waiting[run_id]
        return bool(self._waiting)


def newest_events(run_ids: Sequence[UUID]) -> list[tuple[UUID, int | None, str]]:
    """Return each run that still exists: its id, the number of its last stored event, and its process."""
    last = RunEvent.objects.filter(run=OuterRef("pk")).order_by("-first").values("last")[:1]
    return list(Run.objects.filter(id__in=run_ids).values_list("id", Subquery(last), "process"))
