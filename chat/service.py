"""The conversations of this process: one supervisor, one journal and one catalogue of providers for its event loop."""

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
from chat.starting.request import RunRequest, asked_before
from chat.starting.turns import Turns
from storage.reader import read
from storage.wal_checkpoint import checkpoint
from storage.writer import StorageUnavailable, writer
from tools.execution.context import ToolContext

CANCEL_SECONDS: Final = 5.0
"""How long a cancel waits for a run of another process to end."""

NO_TOKENS: Final = TokensUsed(input_tokens=0, output_tokens=0)


class Service:
    """Starts runs. Everything that it is made of can be replaced by a test."""

    def __init__(self, *, catalogue: ProviderRegistry, tools: Callable[[], ToolContext], stored: bool) -> None:
        self.catalogue = catalogue
        self.stored = stored
        layer = conf.channel_layer() if stored else None
        self._wakes = Notifications(layer, process.name()) if layer else None
        committed = self._wakes.committed if self._wakes else _silently
        kept = (_commit, _recall) if stored else (_pretend, forgotten)
        journal = Journal(kept[0], seconds=conf.journal_seconds(), committed=committed, recall=kept[1])
        self._patience = conf.patience()
        self.supervisor = RunManager(journal, self._patience, most=conf.max_active_runs(), stored=stored)
        self._watch = RemoteWatch(_newest, self._wakes.follow if self._wakes else _silently)
        self._lease = Lease(conf.lease_seconds())
        self._rounds = PeriodicTask(Maintenance(self._lease, self.supervisor, self._watch, self.go_on).round)
        self._checkpoints = PeriodicTask(checkpoint)
        self._keys = UnstoredKeys(self.supervisor.find)
        self._tariff = conf.tariff()
        self._turns = Turns(catalogue, tools, self._tariff, stored=stored)
        self._launches = RunFactory(self._turns, max_seconds=conf.limits().max_seconds, stored=stored)
        self._opened: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Closes what dead processes of this machine left open: once, however often it is called, unless it failed.

        Raises `StorageUnavailable`.
        """
        if not self.stored:
            return
        if self._opened is None or (self._opened.done() and self._opened.exception()):
            self._opened = asyncio.create_task(self._lease.open())
        await asyncio.shield(self._opened)
        self._rounds.start()
        self._checkpoints.start()
        if self._wakes:
            self._wakes.start(news=self._watch.wake, ordered=self._rounds.hurry)

    async def start(self, ask: RunRequest) -> LiveRun:
        """Writes down what is about to happen, and starts it.

        Where nothing stored can be a reason not to begin, the model is asked meanwhile: all that the run writes is
        committed after its beginning, and the caller is told nothing before that.

        Raises what `ProviderRegistry.candidates`, `RunManager.admission` and `begin.begin` raise,
        `ImagesUnsupported`, `ModelUnknown` and `StorageUnavailable`; nothing has happened then, but that a model may have been asked.
        """
        await self.open()
        candidates = self._turns.candidates(ask)
        with self.supervisor.admission():
            new = await self._launches.new(ask, candidates, most_runs=self.supervisor.most_together)
            if not (self.stored and new.may_start) or writer.is_failing:
                return await self._begin(new)
            written = writer.submit(new.begin)
            run = self.supervisor.start(new.launch)
        return await _kept(run, written)

    async def resume(self, run_id: UUID, caller: Caller) -> LiveRun:
        """Starts a new run that goes on from an interrupted one's last durable step; that one stays as it is.

        Raises `RunMissing`, `NotResumable`, `AlreadyBegun` where it was resumed before, and as `start` does.
        """
        await self.open()
        row = await read(begin.interrupted, run_id, caller.owner)
        ask = asked_before(row, caller)
        with self.supervisor.admission():
            new = await self._launches.new(
                ask,
                self._turns.candidates_again(ask),
                most_runs=self.supervisor.most_together,
                asks_model=bool(row.provider),
                resumed_from=run_id,
            )
            return await self._begin(new)

    async def _begin(self, new: NewRun) -> LiveRun:
        """Has the beginning written down, and starts the run.

        What another process begins with the same key meanwhile is found the second time.
        """
        key = new.beginning.key
        if self.stored:
            try:
                await writer.write(new.begin)
            except IntegrityError:
                await writer.write(new.begin)
        elif key is not None:
            self._keys.remember(new.beginning.owner, key, new.beginning.run_id)
        return self.supervisor.start(new.launch)

    async def go_on(self, run_id: UUID, *, cancelled: bool = False) -> LiveRun | None:
        """Lets a waiting run go on here, if it can: what it waits for is decided, or it is to end as `cancelled`.

        Raises what `RunManager.admission` raises, and `StorageUnavailable`.
        """
        with self.supervisor.admission():
            taken = await writer.write(partial(suspension.resume, run_id, cancelled=cancelled))
            if taken is None:
                return None
            run = self.supervisor.start(self._launches.again(taken))
        self._watch.wake(run_id)
        return run

    async def cancel(self, run_id: UUID, owner: str) -> str | None:
        """Stops a run, wherever it is, and returns its status then; None where there is no such run.

        What was produced is kept. Safe to call again, and after the end.
        """
        live = self.supervisor.find(run_id, owner)
        if live is not None:
            live.stop("cancelled")
            await live.feed.ended()
        if live is None or live.feed.parked:
            status = await self._status(run_id, owner)
            if status == Run.Status.RUNNING:
                return await self._cancel_elsewhere(run_id, owner)
            live = await self.go_on(run_id, cancelled=True) if status == Run.Status.WAITING else None
            if live is None:
                return status
            await live.feed.ended()
        return str(live.snapshot()["status"])

    async def _cancel_elsewhere(self, run_id: UUID, owner: str) -> str | None:
        """Has another process cancel its run, and waits a moment for that."""
        process = await writer.write(partial(commands.cancel, run_id))
        if process and self._wakes:
            self._wakes.order(process)
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
        """Whether there is such a run of this owner's, here or in the database."""
        return self.supervisor.find(run_id, owner) is not None or await self._status(run_id, owner) is not None

    def follow(self, run_id: UUID, owner: str, cursor: int) -> Subscription:
        """The run's frames from behind number `cursor`, wherever it lives."""
        source = RunSource(run_id, owner, self.supervisor.find, self._watch, is_stored=self.stored)
        return Subscription(source, cursor, heartbeat=self._patience.heartbeat, patience=self._patience.slow_reader)

    async def warm_up(self) -> None:
        """Does now what the first request would wait for. Raises `ProviderError` and `NotConfigured`."""
        provider = self.catalogue.get(self.catalogue.default)
        await provider.warm_up()
        await asyncio.to_thread(self._tariff.price, provider.name, provider.default_model, NO_TOKENS)

    async def close(self, drain: float = 0.0) -> None:
        """Takes no new runs, ends the open ones as interrupted after `drain` seconds, then the connections."""
        await self.supervisor.close(drain)
        self._rounds.close()
        self._checkpoints.close()
        self._watch.close()
        if self._wakes:
            await self._wakes.close()
        if self.stored:
            with contextlib.suppress(StorageUnavailable):
                await self._lease.close()
        await self.catalogue.close()


async def _kept(run: LiveRun, written: "asyncio.Future[None]") -> LiveRun:
    """The run, once its beginning is written down; where that fails it is stopped, and nobody was told of it."""
    try:
        await written
    except BaseException:
        run.stop("storage")
        raise
    return run


async def _newest(run_ids: Sequence[UUID]) -> Sequence[tuple[UUID, int | None, str]]:
    return await read(queries.newest, run_ids)


def _silently(_: object) -> None:
    """Without a channel layer no word is sent."""


async def _commit(batch: Batch) -> Collection[UUID]:
    return await writer.write(partial(frame_store.save_batch, batch.frames, batch.records))


async def _recall(batch: Batch) -> Collection[UUID]:
    return await read(commit_recovery.committed_runs, batch.frames)


async def _pretend(_: Batch) -> Collection[UUID]:
    """Keeps nothing, and loses no run."""
    return ()
