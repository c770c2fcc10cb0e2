"""The membership of this process in the cluster, which is all processes that share one database."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from uuid import UUID

from channels.layers import BaseChannelLayer  # type: ignore[import-untyped]  # it ships no types

from chat.runs.cluster import commands
from chat.runs.cluster.lease import Lease
from chat.runs.cluster.maintenance import Maintenance
from chat.runs.cluster.notifications import Notifications
from chat.runs.cluster.remote_watch import RemoteWatch
from chat.runs.cluster.ticker import PeriodicTask
from chat.runs.live.manager import RunManager
from kernel import process
from storage.wal_checkpoint import checkpoint
from storage.writer import StorageUnavailable, writer


class ClusterMember:
    """The lease, the maintenance and the notifications of this process, and its `watch` on other processes' runs.

    Without a channel `layer` there are no notifications, and the other processes poll.
    """

    def __init__(self, layer: BaseChannelLayer | None, *, lease_seconds: float) -> None:
        self._notifications = Notifications(layer, process.name()) if layer else None
        self.watch = RemoteWatch(self._notifications.follow if self._notifications else None)
        self._lease = Lease(lease_seconds)
        self._opened: asyncio.Task[None] | None = None
        self._maintenance: PeriodicTask | None = None
        self._checkpoints = PeriodicTask(checkpoint)

    async def open(self, runs: RunManager, continue_run: Callable[[UUID], Awaitable[object]]) -> None:
        """Take the lease, close what dead processes of this machine left open, and start the periodic tasks.

        Only the first successful call does the work. Raise `StorageUnavailable`.
        """
        if self._opened is None or (self._opened.done() and self._opened.exception()):
            self._opened = asyncio.create_task(self._lease.open())
        # Many requests may wait for this, and one that is cancelled must not cancel it for the others.
        await asyncio.shield(self._opened)
        if self._maintenance is None:
            self._maintenance = PeriodicTask(Maintenance(self._lease, runs, self.watch, continue_run).round)
            self.watch.on_first = self._maintenance.hurry
        self._maintenance.start()
        self._checkpoints.start()
        if self._notifications:
            self._notifications.start(on_news=self.watch.wake, on_order=self._maintenance.hurry)

    def committed(self, runs: Collection[UUID]) -> None:
        """Notify the interested processes that these runs have new events."""
        if self._notifications:
            self._notifications.committed(runs)

    async def request_cancel(self, run_id: UUID) -> None:
        """Request the process that owns the run to cancel it. Raise `StorageUnavailable`."""
        owner = await writer.write(partial(commands.cancel, run_id))
        if owner and self._notifications:
            self._notifications.order(owner)

    def stop_maintenance(self) -> None:
        """Stop the periodic tasks."""
        if self._maintenance is not None:
            self._maintenance.close()
        self._checkpoints.close()

    async def close(self) -> None:
        """Stop everything, and return the lease."""
        self.stop_maintenance()
        self.watch.close()
        if self._notifications:
            await self._notifications.close()
        if self._opened is not None:
            # Without the database the lease expires by itself.
            with contextlib.suppress(StorageUnavailable):
                await self._lease.close()
