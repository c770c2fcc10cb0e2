"""The chat service of one event loop: it starts, resumes, follows and cancels runs."""

import asyncio
from collections.abc import Callable
from typing import Final
from uuid import UUID

from access.caller import Caller
from chat import conf
from chat.history.directory import RunDirectory
from chat.models import Run
from chat.providers.registry import ProviderRegistry
from chat.runs.cluster.member import ClusterMember
from chat.runs.live.manager import RunManager
from chat.runs.live.run import LiveRun
from chat.runs.log.journals import database_journal, memory_journal
from chat.runs.log.subscription import Subscription
from chat.starting.message_files import read_file
from chat.starting.request import RunRequest
from chat.starting.starter import RunStarter
from tools.execution.context import ToolContext

CANCEL_SECONDS: Final = 5.0
"""Seconds for which a cancel waits until another process ends its run."""

POLL_SECONDS: Final = 0.2


class Service:
    """Starts runs and finds them again. A test can replace the providers and the tools."""

    def __init__(self, *, providers: ProviderRegistry, tools: Callable[[], ToolContext], stored: bool) -> None:
        self.providers = providers
        self.stored = stored
        timeouts = conf.timeouts()
        self.member = ClusterMember(conf.channel_layer() if stored else None, lease_seconds=conf.lease_seconds())
        seconds = conf.journal_seconds()
        journal = database_journal(seconds, self.member.committed) if stored else memory_journal(seconds)
        self.runs = RunManager(journal, timeouts, max_runs=conf.max_active_runs(), stored=stored)
        self._tariff = conf.tariff()
        self._tools = tools
        self._starter = RunStarter(providers, tools, self._tariff, self.runs, stored=stored)
        self._directory = RunDirectory(self.runs, self.member.watch, timeouts, stored=stored)

    async def open(self) -> None:
        """Close the runs that dead processes of this machine left open, and start the periodic tasks.

        Only the first successful call does the work. Raise `StorageUnavailable`.
        """
        if self.stored:
            await self.member.open(self.runs, self.continue_run)

    async def start(self, request: RunRequest) -> LiveRun:
        """Record a new run, and start it. Raise the errors of `RunStarter.start`."""
        await self.open()
        return await self._starter.start(request)

    async def read_file(self, caller: Caller, session_id: UUID | None, path: str, max_bytes: int) -> bytes:
        """Return a file of the workspace for a message, as a recorded `fs.read` of the caller.

        Raise `ToolError` and `SessionNotFound`.
        """
        return await read_file(caller, session_id, self._tools(), path, max_bytes, stored=self.stored)

    async def resume(self, run_id: UUID, caller: Caller) -> LiveRun:
        """Start a new run that continues an interrupted one. Raise the errors of `RunStarter.resume`."""
        await self.open()
        return await self._starter.resume(run_id, caller)

    async def compact(self, session_id: UUID, caller: Caller) -> LiveRun:
        """Start a run that summarises a session. Raise the errors of `RunStarter.compact`."""
        await self.open()
        return await self._starter.compact(session_id, caller)

    async def continue_run(self, run_id: UUID, *, cancelled: bool = False) -> LiveRun | None:
        """Continue a waiting run in this process, as `RunStarter.continue_run` specifies."""
        run = await self._starter.continue_run(run_id, cancelled=cancelled)
        if run is not None:
            self.member.watch.wake(run_id)
        return run

    async def cancel(self, run_id: UUID, owner: str) -> str | None:
        """Stop a run in any process, and return its status afterwards; None if there is no such run.

        The output of the run is kept. Calling this again, or after the end, is safe. Raise `StorageUnavailable`.
        """
        live = self.runs.find(run_id, owner)
        if live is not None:
            live.stop("cancelled")
            await live.broadcast.ended()
        if live is None or live.broadcast.suspended:
            status = await self._directory.status(run_id, owner)
            if status == Run.Status.RUNNING:
                return await self._cancel_elsewhere(run_id, owner)
            live = await self.continue_run(run_id, cancelled=True) if status == Run.Status.WAITING else None
            if live is None:
                return status
            await live.broadcast.ended()
        return str(live.snapshot()["status"])

    async def _cancel_elsewhere(self, run_id: UUID, owner: str) -> str | None:
        await self.member.request_cancel(run_id)
        deadline = asyncio.get_running_loop().time() + CANCEL_SECONDS
        while True:
            status = await self._directory.status(run_id, owner)
            if status != Run.Status.RUNNING or asyncio.get_running_loop().time() > deadline:
                return status
            await asyncio.sleep(POLL_SECONDS)

    async def exists(self, run_id: UUID, owner: str) -> bool:
        """Return whether the owner has such a run, in this process or in the database."""
        return await self._directory.has(run_id, owner)

    def follow(self, run_id: UUID, owner: str, cursor: int, *, hides_reasoning: bool = False) -> Subscription:
        """Subscribe to the run's frames after number `cursor`, in whichever process it runs."""
        return self._directory.follow(run_id, owner, cursor, hides_reasoning=hides_reasoning)

    async def warm_up(self) -> None:
        """Load what the first request would otherwise wait for. Raise `ProviderError` and `NotConfigured`."""
        provider = self.providers.get(self.providers.default)
        await provider.warm_up()
        await asyncio.to_thread(self._tariff.load, provider.name, provider.default_model)

    async def close(self, drain: float = 0.0) -> None:
        """Refuse new runs, end the open ones as interrupted after `drain` seconds, then close connections."""
        await self.runs.close(drain)
        await self.member.close()
        await self.providers.close()
