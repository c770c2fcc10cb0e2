"""The chat service of one event loop: it starts, resumes, follows and cancels runs."""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Final
from uuid import UUID

from django.db import IntegrityError

from access.caller import Caller
from chat import conf
from chat.engine.model_port import TokensUsed
from chat.history import queries
from chat.history.run_source import RunSource
from chat.models import Run
from chat.providers.registry import ProviderRegistry
from chat.runs.cluster import commands, process
from chat.runs.cluster.lease import Lease
from chat.runs.cluster.maintenance import Maintenance
from chat.runs.cluster.notifications import Notifications
from chat.runs.cluster.remote_watch import POLL_SECONDS, RemoteWatch
from chat.runs.cluster.ticker import PeriodicTask
from chat.runs.live import suspension
from chat.runs.live.manager import RunManager
from chat.runs.live.run import LiveRun
from chat.runs.log import commit_recovery, frame_store
from chat.runs.log.journal import Batch, Journal, forgotten
from chat.runs.log.subscription import Subscription
from chat.runs.start import begin
from chat.runs.start.idempotency import UnstoredKeys
from chat.starting.factory import NewRun, RunFactory
from chat.starting.request import RunRequest, request_of
from storage.reader import read
from storage.wal_checkpoint import checkpoint
from storage.writer import StorageUnavailable, writer
from tools.execution.context import ToolContext

CANCEL_SECONDS: Final = 5.0
"""How long a cancel waits for another process to end its run, in seconds."""

NO_TOKENS: Final = TokensUsed(input_tokens=0, output_tokens=0)


class Service:
    """Starts runs and finds them again. A test can replace the providers and the tools."""

    def __init__(self, *, providers: ProviderRegistry, tools: Callable[[], ToolContext], stored: bool) -> None:
        self.providers = providers
        self.stored = stored
        layer = conf.channel_layer() if stored else None
        self._notifications = Notifications(layer, process.name()) if layer else None
        committed = self._notifications.committed if self._notifications else _ignore
        save, recall = (_commit, _recall) if stored else (_discard, forgotten)
        journal = Journal(save, seconds=conf.journal_seconds(), committed=committed, recall=recall)
        self._timeouts = conf.timeouts()
        self.runs = RunManager(journal, self._timeouts, most=conf.max_active_runs(), stored=stored)
        self._watch = RemoteWatch(_newest, self._notifications.follow if self._notifications else _ignore)
        self._lease = Lease(conf.lease_seconds())
        self._maintenance = PeriodicTask(Maintenance(self._lease, self.runs, self._watch, self.continue_run).round)
        self._checkpoints = PeriodicTask(checkpoint)
        self._keys = UnstoredKeys(self.runs.find)
        self._tariff = conf.tariff()
        self._factory = RunFactory(providers, tools, self._tariff, stored=stored)
        self._opened: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Close the runs that dead processes of this machine left open, and start the periodic tasks.

        Only the first successful call does the work. Raises `StorageUnavailable`.
        """
        if not self.stored:
            return
        if self._opened is None or (self._opened.done() and self._opened.exception()):
            self._opened = asyncio.create_task(self._lease.open())
        await asyncio.shield(self._opened)
        self._maintenance.start()
        self._checkpoints.start()
        if self._notifications:
            self._notifications.start(news=self._watch.wake, ordered=self._maintenance.hurry)

    async def start(self, request: RunRequest) -> LiveRun:
        """Record a new run, and start it.

        Raises the errors of `RunFactory.candidates`, `RunFactory.new`, `RunManager.admission` and `begin`, and
        `StorageUnavailable`. After an error no run exists, but a model may have been asked.
        """
        await self.open()
        candidates = self._factory.candidates(request)
        with self.runs.admission():
            new = await self._factory.new(request, candidates, max_active_runs=self.runs.max_together)
            if not (self.stored and new.may_start) or writer.is_failing:
                return await self._begin(new)
            # The writer takes jobs in order, so everything that the run writes commits after its beginning, and the
            # caller hears nothing before that. The model call and the insert can therefore overlap.
            written = writer.submit(new.begin)
            run = self.runs.start(new.spec)
        try:
            await written
        except BaseException:
            run.stop("storage")
            raise
        return run

    async def resume(self, run_id: UUID, caller: Caller) -> LiveRun:
        """Start a new run that continues an interrupted run from its last durable step.

        The interrupted run stays as it is. Raises `RunNotFound`, `NotResumable`, `AlreadyBegun` if the run was resumed
        before, and the errors of `start`.
        """
        await self.open()
        row = await read(begin.interrupted, run_id, caller.owner)
        request = request_of(row, caller)
        with self.runs.admission():
            new = await self._factory.new(
                request,
                self._factory.candidates_again(request),
                max_active_runs=self.runs.max_together,
                asks_model=bool(row.provider),
                resumed_from=run_id,
            )
            return await self._begin(new)

    async def _begin(self, new: NewRun) -> LiveRun:
        key = new.start.key
        if self.stored:
            try:
                await writer.write(new.begin)
            except IntegrityError:
                # Another process began a run with the same idempotency key at the same time: the second try finds it.
                await writer.write(new.begin)
        elif key is not None:
            self._keys.remember(new.start.owner, key, new.start.run_id)
        return self.runs.start(new.spec)

    async def continue_run(self, run_id: UUID, *, cancelled: bool = False) -> LiveRun | None:
        """Continue a waiting run in this process if its approval is decided, or end it as `cancelled`.

        Return None if the run does not wait, or another process took it. Raises the errors of `RunManager.admission`,
        and `StorageUnavailable`.
        """
        with self.runs.admission():
            resumed = await writer.write(partial(suspension.resume, run_id, cancelled=cancelled))
            if resumed is None:
                return None
            run = self.runs.start(self._factory.resumed(resumed))
        self._watch.wake(run_id)
        return run

    async def cancel(self, run_id: UUID, owner: str) -> str | None:
        """Stop a run in any process, and return its status afterwards; None if there is no such run.

        What the run produced is kept. Calling this again, or after the end, is safe.
        """
        live = self.runs.find(run_id, owner)
        if live is not None:
            live.stop("cancelled")
            await live.broadcast.ended()
        if live is None or live.broadcast.parked:
            status = await self._status(run_id, owner)
            if status == Run.Status.RUNNING:
                return await self._cancel_elsewhere(run_id, owner)
            live = await self.continue_run(run_id, cancelled=True) if status == Run.Status.WAITING else None
            if live is None:
                return status
            await live.broadcast.ended()
        return str(live.snapshot()["status"])

    async def _cancel_elsewhere(self, run_id: UUID, owner: str) -> str | None:
        process = await writer.write(partial(commands.cancel, run_id))
        if process and self._notifications:
            self._notifications.order(process)
        deadline = asyncio.get_running_loop().time() + CANCEL_SECONDS
        while True:
            status = await self._status(run_id, owner)
            if status != Run.Status.RUNNING or asyncio.get_running_loop().time() > deadline:
                return status
            await asyncio.sleep(POLL_SECONDS)

    async def _status(self, run_id: UUID, owner: str) -> str | None:
        if not self.stored:
            return None
        run = await read(queries.run, run_id, owner)
        return str(run["status"]) if run else None

    async def exists(self, run_id: UUID, owner: str) -> bool:
        """Return whether the owner has such a run, in this process or in the database."""
        return self.runs.find(run_id, owner) is not None or await self._status(run_id, owner) is not None

    def follow(self, run_id: UUID, owner: str, cursor: int) -> Subscription:
        """Subscribe to the run's frames after number `cursor`, in whichever process it runs."""
        source = RunSource(run_id, owner, self.runs.find, self._watch, is_stored=self.stored)
        return Subscription(source, cursor, heartbeat=self._timeouts.heartbeat, patience=self._timeouts.slow_reader)

    async def warm_up(self) -> None:
        """Load what the first request would otherwise wait for. Raises `ProviderError` and `NotConfigured`."""
        provider = self.providers.get(self.providers.default)
        await provider.warm_up()
        await asyncio.to_thread(self._tariff.price, provider.name, provider.default_model, NO_TOKENS)

    async def close(self, drain: float = 0.0) -> None:
        """Refuse new runs, end the open ones as interrupted after `drain` seconds, then close connections."""
        await self.runs.close(drain)
        self._maintenance.close()
        self._checkpoints.close()
        self._watch.close()
        if self._notifications:
            await self._notifications.close()
        if self.stored:
            with contextlib.suppress(StorageUnavailable):
                await self._lease.close()
        await self.providers.close()


async def _newest(run_ids: Sequence[UUID]) -> Sequence[tuple[UUID, int | None, str]]:
    return await read(queries.newest, run_ids)


def _ignore(_: object) -> None:
    """Do nothing: without a channel layer no notification is sent."""


async def _commit(batch: Batch) -> Collection[UUID]:
    return await writer.write(partial(frame_store.save_batch, batch.frames, batch.records))


async def _recall(batch: Batch) -> Collection[UUID]:
    return await read(commit_recovery.committed_runs, batch.frames)


async def _discard(_: Batch) -> Collection[UUID]:
    """Store nothing, and report no lost run."""
    return ()
