"""The conversations of this process: one supervisor, one journal and one catalogue of providers for its event loop."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import Final
from uuid import UUID
from weakref import WeakKeyDictionary

from django.db import IntegrityError

from access import door
from access.callers import Caller
from chat import conf, records
from chat.asking import Ask, asked_before
from chat.engine.attempts import Candidate
from chat.engine.completion import TokensUsed
from chat.engine.events import Start
from chat.engine.turn import Turn
from chat.following import RunSource
from chat.models import Run
from chat.providers.catalogue import Catalogue
from chat.runs import followed, orders, process, store, unheard, waiting
from chat.runs.follower import Follower
from chat.runs.journal import Batch, Journal, forgotten
from chat.runs.lease import Lease
from chat.runs.live import Launch, LiveRun
from chat.runs.rounds import Rounds
from chat.runs.supervisor import Supervisor
from chat.runs.upkeep import Upkeep
from chat.runs.wakes import Wakes
from chat.runs.watch import POLL_SECONDS, Watch
from chat.turns import Turns
from chat.wire import sse
from storage.ids import new_id
from storage.reader import read
from storage.writer import StorageUnavailable, writer
from tools.toolbox import toolset
from tools.toolset import Toolset

CANCEL_SECONDS: Final = 5.0
"""How long a cancel waits for a run of another process to end."""

NO_TOKENS: Final = TokensUsed(input_tokens=0, output_tokens=0)


class Service:
    """Starts runs. Everything that it is made of can be replaced by a test."""

    def __init__(self, *, catalogue: Catalogue, tools: Callable[[], Toolset], stored: bool) -> None:
        self.catalogue = catalogue
        self.stored = stored
        layer = conf.channel_layer() if stored else None
        self._wakes = Wakes(layer, process.name()) if layer else None
        committed = self._wakes.committed if self._wakes else _silently
        kept = (_commit, _recall) if stored else (_pretend, forgotten)
        journal = Journal(kept[0], seconds=conf.journal_seconds(), committed=committed, recall=kept[1])
        self._patience = conf.patience()
        self.supervisor = Supervisor(journal, self._patience, most=conf.max_active_runs(), stored=stored)
        self._watch = Watch(_newest, self._wakes.follow if self._wakes else _silently)
        self._lease = Lease(conf.lease_seconds())
        self._rounds = Rounds(Upkeep(self._lease, self.supervisor, self._watch, self.go_on).round)
        self._keys: dict[tuple[str, str], tuple[str, UUID]] = {}
        self._tariff = conf.tariff()
        self._turns = Turns(catalogue, tools, self._tariff, stored=stored)
        self._max_seconds = conf.limits().max_seconds
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
        if self._wakes:
            self._wakes.start(news=self._watch.wake, ordered=self._rounds.hurry)

    async def start(self, ask: Ask) -> LiveRun:
        """Writes down what is about to happen, and starts it.

        Raises what `Catalogue.candidates`, `Supervisor.admission` and `store.begin` raise, `ImagesUnsupported`,
        `ModelUnknown` and `StorageUnavailable`; nothing has happened then.
        """
        await self.open()
        candidates = self._turns.candidates(ask)
        with self.supervisor.admission():
            return await self._begin(ask, candidates, turn=partial(self._turns.make, ask))

    async def resume(self, run_id: UUID, caller: Caller) -> LiveRun:
        """Starts a new run that goes on from an interrupted one's last durable step; that one stays as it is.

        Raises `RunMissing`, `NotResumable`, `AlreadyBegun` where it was resumed before, and as `start` does.
        """
        await self.open()
        row = await read(store.interrupted, run_id, caller.owner)
        ask = asked_before(row, caller)
        with self.supervisor.admission():
            turn = partial(self._turns.make, ask, asks_model=bool(row.provider))
            return await self._begin(ask, self._turns.candidates_again(ask), turn=turn, resumed_from=run_id)

    async def _begin(
        self,
        ask: Ask,
        candidates: tuple[Candidate, ...],
        *,
        turn: Callable[..., Awaitable[Turn]],
        resumed_from: UUID | None = None,
    ) -> LiveRun:
        run_id, session_id = new_id(), ask.session_id or new_id()
        purse = self._turns.purse(ask, run_id, session_id)
        purse.check(candidates)
        first = candidates[0] if candidates else None
        start = Start(
            run_id=str(run_id),
            session_id=str(session_id) if self.stored else None,
            provider=first.provider.name if first else None,
            model=first.model if first else None,
        )
        beginning = self._beginning(ask, start, session_id, resumed_from)
        begin: Callable[[], None] = partial(store.begin, beginning)
        play: Callable[[], Awaitable[Turn]] = partial(turn, run_id, session_id, candidates, purse=purse)
        if purse.is_bound and candidates and ask.session_id is None and not ask.tool_calls:
            made = await play()
            play = partial(_made, made)
            begin = await purse.reserving(*made.first_call(), begin)
        await self._write_down(beginning, begin)
        return self.supervisor.start(
            Launch(
                run_id=run_id,
                session_id=session_id,
                owner=ask.owner,
                purse=purse,
                hold=partial(door.current().watch.hold, ask.caller.key),
                start=start,
                turn=play,
                max_seconds=self._max_seconds,
                cancel_unfollowed=ask.on_disconnect == "cancel",
                followed_elsewhere=self._followed_elsewhere(run_id),
            )
        )

    async def _write_down(self, beginning: store.Beginning, begin: Callable[[], None]) -> None:
        """Commits the beginning, by the job that writes it.

        What another process begins with the same key meanwhile is found the second time.
        """
        if not self.stored:
            self._remember(beginning)
            return
        try:
            await writer.write(begin)
        except IntegrityError:
            await writer.write(begin)

    def _remember(self, beginning: store.Beginning) -> None:
        """Where nothing is stored, keys are known for as long as their runs are."""
        if beginning.key is None:
            return
        known = {key: entry for key, entry in self._keys.items() if self.supervisor.find(entry[1], key[0])}
        entry = known.get((beginning.owner, beginning.key.key))
        if entry is not None and entry[0] != beginning.key.body_sha256:
            raise store.KeyMismatch
        if entry is not None:
            raise store.AlreadyBegun(entry[1])
        known[beginning.owner, beginning.key.key] = (beginning.key.body_sha256, beginning.run_id)
        self._keys = known

    def _followed_elsewhere(self, run_id: UUID) -> Callable[[], Awaitable[bool]]:
        return partial(read, followed.is_marked, run_id) if self.stored else _nobody

    async def go_on(self, run_id: UUID, *, cancelled: bool = False) -> LiveRun | None:
        """Lets a waiting run go on here, if it can: what it waits for is decided, or it is to end as `cancelled`.

        Raises what `Supervisor.admission` raises, and `StorageUnavailable`.
        """
        with self.supervisor.admission():
            taken = await writer.write(partial(waiting.take, run_id, cancelled=cancelled))
            if taken is None:
                return None
            run = self.supervisor.start(self._relaunch(taken))
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
        process = await writer.write(partial(orders.cancel, run_id))
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
        run = await read(records.run, run_id, owner)
        return str(run["status"]) if run else None

    async def exists(self, run_id: UUID, owner: str) -> bool:
        """Whether there is such a run of this owner's, here or in the database."""
        return self.supervisor.find(run_id, owner) is not None or await self._status(run_id, owner) is not None

    def follow(self, run_id: UUID, owner: str, cursor: int) -> Follower:
        """The run's frames from behind number `cursor`, wherever it lives."""
        source = RunSource(run_id, owner, self.supervisor.find, self._watch, is_stored=self.stored)
        return Follower(source, cursor, heartbeat=self._patience.heartbeat, patience=self._patience.slow_reader)

    async def warm_up(self) -> None:
        """Does now what the first request would wait for. Raises `ProviderError` and `NotConfigured`."""
        provider = self.catalogue.get(self.catalogue.default)
        await provider.warm_up()
        await asyncio.to_thread(self._tariff.price, provider.name, provider.default_model, NO_TOKENS)

    async def close(self, drain: float = 0.0) -> None:
        """Takes no new runs, ends the open ones as interrupted after `drain` seconds, then the connections."""
        await self.supervisor.close(drain)
        self._rounds.close()
        self._watch.close()
        if self._wakes:
            await self._wakes.close()
        if self.stored:
            with contextlib.suppress(StorageUnavailable):
                await self._lease.close()
        await self.catalogue.close()

    def _beginning(self, ask: Ask, start: Start, session_id: UUID, resumed_from: UUID | None) -> store.Beginning:
        return store.Beginning(
            run_id=UUID(start.run_id),
            session_id=session_id,
            new_session=ask.session_id is None,
            caller=ask.caller,
            user=ask.user,
            message=ask.user_message,
            provider=start.provider or "",
            model=start.model or "",
            options=ask.options,
            metadata=ask.metadata,
            start_frame=sse.frame(1, start),
            key=ask.key,
            most_runs=self.supervisor.most_together,
            resumed_from=resumed_from,
        )

    def _relaunch(self, taken: waiting.Taken) -> Launch:
        row = taken.row
        ask = asked_before(row, taken.caller)
        purse = self._turns.purse(ask, row.id, row.session_id)
        start = Start(
            run_id=str(row.id), session_id=str(row.session_id), provider=row.provider or None, model=row.model or None
        )
        candidates = self._turns.candidates_again(ask)
        asks_model = taken.resumption.suspended.asks_model
        turn = partial(
            self._turns.make,
            ask,
            row.id,
            row.session_id,
            candidates,
            purse=purse,
            asks_model=asks_model,
            resumption=taken.resumption,
        )
        return Launch(
            run_id=row.id,
            session_id=row.session_id,
            owner=ask.owner,
            purse=purse,
            hold=partial(door.current().watch.hold, ask.caller.key),
            start=start,
            turn=turn,
            max_seconds=taken.seconds_left,
            cancel_unfollowed=ask.on_disconnect == "cancel",
            followed_elsewhere=self._followed_elsewhere(row.id),
            last=taken.last,
            text=taken.text,
            created=row.created,
        )


_services: "WeakKeyDictionary[asyncio.AbstractEventLoop, Service]" = WeakKeyDictionary()


def current() -> Service:
    """The service of the running event loop, made when it is first needed: not every server tells when it starts."""
    loop = asyncio.get_running_loop()
    if loop not in _services:
        _services[loop] = Service(catalogue=conf.catalogue(), tools=toolset, stored=conf.is_stored())
    return _services[loop]


def use(service: Service) -> None:
    """Makes `service` the running event loop's."""
    _services[asyncio.get_running_loop()] = service


async def close(drain: float = 0.0) -> None:
    """Ends the running event loop's service, if it has one. It refuses new runs from then on; safe to call again."""
    service = _services.get(asyncio.get_running_loop())
    if service is not None:
        await service.close(drain)


async def _newest(run_ids: Sequence[UUID]) -> Sequence[tuple[UUID, int | None, str]]:
    return await read(records.newest, run_ids)


def _silently(_: object) -> None:
    """Without a channel layer no word is sent."""


async def _made(turn: Turn) -> Turn:
    return turn


async def _nobody() -> bool:
    """Without a database nobody follows from elsewhere."""
    return False


async def _commit(batch: Batch) -> Collection[UUID]:
    return await writer.write(partial(store.keep, batch.frames, batch.records))


async def _recall(batch: Batch) -> Collection[UUID]:
    return await read(unheard.kept, batch.frames)


async def _pretend(_: Batch) -> Collection[UUID]:
    """Keeps nothing, and loses no run."""
    return ()
