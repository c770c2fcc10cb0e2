"""What a process looks after beside its runs: its lease, orders, runs that can go on or were lost, and whom it follows
elsewhere.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final
from uuid import UUID

import msgspec
from django.utils import timezone

from chat.models import Run
from chat.runs.cluster import commands, process, remote_subscribers
from chat.runs.cluster.lease import Lease, end_runs
from chat.runs.cluster.remote_watch import RemoteWatch
from chat.runs.live import suspension
from chat.runs.live.manager import RunManager
from storage.reader import read
from storage.statements import Statement
from storage.writer import writer

MARK_SECONDS: Final = 1.0
"""How often the runs of others that are followed here are marked so."""

MARKS_HOLD: Final = 5
"""How many times as long a mark holds: a busy machine is late."""


LOOK_SECONDS: Final = 5.0
"""How often this process looks for runs that are its own in the database alone."""

_count = Statement("SELECT COUNT(*) FROM runs WHERE status = 'running' AND process <> %s")


class _News(msgspec.Struct, frozen=True):
    orders: Sequence[tuple[int, UUID]]
    ready: Sequence[UUID]


class Maintenance:
    """One round after the other. `go_on` lets a waiting run go on in this process."""

    def __init__(
        self, lease: Lease, runs: RunManager, watch: RemoteWatch, go_on: Callable[[UUID], Awaitable[object]]
    ) -> None:
        self._lease = lease
        self._runs = runs
        self._watch = watch
        self._go_on = go_on
        self._mark_at = 0.0
        self._look_at = 0.0
        self._strays: frozenset[UUID] = frozenset()

    async def round(self) -> None:
        """Raises `StorageUnavailable`, and what `go_on` raises."""
        await self._lease.keep()
        await self._mark()
        await self._end_strays()
        news = await read(_news)
        if news.orders:
            for _, run_id in news.orders:
                self._runs.cancel(run_id)
            await writer.write(partial(commands.clear, [order for order, _ in news.orders]))
        for run_id in news.ready:
            await self._go_on(run_id)

    async def _mark(self) -> None:
        """Counts the runs of others, and marks those that are followed here."""
        now = asyncio.get_running_loop().time()
        if now < self._mark_at:
            return
        self._mark_at = now + MARK_SECONDS
        self._runs.elsewhere = await read(_count_elsewhere)
        if runs := self._watch.followed(MARK_SECONDS):
            await writer.write(partial(remote_subscribers.mark, runs, MARKS_HOLD * MARK_SECONDS))

    async def _end_strays(self) -> None:
        """Ends the runs that the database has as this process's, and that are not here, now and a while ago.

        The answer to the commit of their beginning was lost, or the commit of their end was given up.
        """
        now = asyncio.get_running_loop().time()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_SECONDS
        strays = frozenset(run_id for run_id in await read(_own) if not self._runs.has(run_id))
        if lost := strays & self._strays:
            await end_runs(lost)
        self._strays = strays - lost


def _count_elsewhere() -> int:
    return int(_count(process.name())[0][0])


def _own() -> list[UUID]:
    return list(Run.objects.filter(process=process.name(), status=Run.Status.RUNNING).values_list("id", flat=True))


def _news() -> _News:
    return _News(commands.requested(process.name()), suspension.decided(timezone.now()))
