"""The periodic work of a process beside its runs.

It renews its lease, carries out commands, continues waiting runs, ends lost ones, and marks the runs of other processes
that are followed here. It closes calls whose time for a decision is over, and offers newly accepted tools.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final
from uuid import UUID

from django.utils import timezone

from chat.models import Run
from chat.runs.cluster import commands, remote_subscribers
from chat.runs.cluster.lease import Lease, end_runs
from chat.runs.cluster.remote_watch import RemoteWatch
from chat.runs.live import suspension
from chat.runs.live.manager import RunManager
from kernel import process
from storage.reader import read
from storage.statements import Statement
from storage.writer import writer
from tools import assembly
from tools.approvals import decisions

MARK_SECONDS: Final = 1.0
"""The interval at which followed runs of other processes are marked, in seconds."""

# A busy machine marks late; the run must not be given up because of that.
MARKS_HOLD: Final = 5
"""The duration of a mark, in intervals."""

LOOK_SECONDS: Final = 5.0
"""The interval between two searches for lost runs, expired calls and accepted tools, in seconds."""

_count = Statement("SELECT COUNT(*) FROM runs WHERE status = 'running' AND process <> %s")


class Maintenance:
    """The maintenance of this process. `continue_run` continues a waiting run in this process."""

    def __init__(
        self, lease: Lease, runs: RunManager, watch: RemoteWatch, continue_run: Callable[[UUID], Awaitable[object]]
    ) -> None:
        self._lease = lease
        self._runs = runs
        self._watch = watch
        self._continue_run = continue_run
        self._mark_at = 0.0
        self._look_at = 0.0
        self._marked: frozenset[UUID] = frozenset()
        self._strays: frozenset[UUID] = frozenset()

    async def round(self) -> None:
        """Do the work that is due. Raise `StorageUnavailable`, and the errors of `continue_run`."""
        await self._lease.keep()
        await self._mark_followed()
        if self._is_look_due():
            await self._end_strays()
            await assembly.renew()
            if await read(decisions.has_expired, timezone.now()):
                await writer.write(partial(decisions.close_expired, timezone.now()))
        ordered, ready = await read(_news)
        if ordered:
            for _, run_id in ordered:
                self._runs.cancel(run_id)
            await writer.write(partial(commands.clear, [command for command, _ in ordered]))
        for run_id in ready:
            await self._continue_run(run_id)

    async def _mark_followed(self) -> None:
        """Count the runs of other processes, and mark those that are followed here."""
        now = asyncio.get_running_loop().time()
        runs = frozenset(self._watch.followed(MARK_SECONDS))
        due = now >= self._mark_at
        if due:
            self._mark_at = now + MARK_SECONDS
            self._runs.elsewhere = await read(lambda: int(_count(process.name())[0][0]))
        # A new subscription is marked at once: the run's grace period may be shorter than the interval.
        if marked := runs if due else runs - self._marked:
            await writer.write(partial(remote_subscribers.mark, marked, MARKS_HOLD * MARK_SECONDS))
        self._marked = runs

    def _is_look_due(self) -> bool:
        """Return whether the next search for abandoned runs is due."""
        now = asyncio.get_running_loop().time()
        if now < self._look_at:
            return False
        self._look_at = now + LOOK_SECONDS
        return True

    async def _end_strays(self) -> None:
        """End runs that the database has as this process's, but that it does not run."""
        # The reply to the commit of their beginning was lost, or the commit of their end was given up. A run that is
        # just beginning looks the same, so a stray must be seen twice.
        strays = frozenset(run_id for run_id in await read(_own) if not self._runs.has(run_id))
        if lost := strays & self._strays:
            await end_runs(lost)
        self._strays = strays - lost


def _own() -> list[UUID]:
    return list(Run.objects.filter(process=process.name(), status=Run.Status.RUNNING).values_list("id", flat=True))


def _news() -> tuple[Sequence[tuple[int, UUID]], Sequence[UUID]]:
    """Return the commands for this process, and the waiting runs that can continue."""
    return commands.requested(process.name()), suspension.decided(timezone.now())
