"""The conversations of this process: one supervisor, one journal and one catalogue of providers for its event loop."""

import asyncio
from collections.abc import Callable, Collection
from functools import partial
from typing import Any, Final, Literal
from uuid import UUID
from weakref import WeakKeyDictionary

import msgspec
from django.utils import timezone

from chat import conf
from chat.context import history
from chat.engine.attempts import Candidate
from chat.engine.completion import ProviderError, TokensUsed
from chat.engine.events import Start
from chat.engine.messages import Image, Message, UserMessage
from chat.engine.turn import Plan, Resumption, Turn
from chat.following import RunSource, newest
from chat.providers.catalogue import Catalogue, NotConfigured, UnknownProvider
from chat.runs import store, waiting
from chat.runs.follower import Follower
from chat.runs.journal import Batch, Journal
from chat.runs.lease import Lease
from chat.runs.live import Launch, LiveRun
from chat.runs.rounds import Rounds
from chat.runs.supervisor import Supervisor
from chat.runs.watch import Watch
from chat.wire import sse
from storage.ids import new_id
from storage.reader import read
from storage.writer import writer
from tools.base import ToolRequest
from tools.execution import Place, ToolDoor, Toolset
from tools.toolbox import toolset

NO_TOKENS: Final = TokensUsed(input_tokens=0, output_tokens=0)


class ImagesUnsupported(Exception):
    """The chosen provider takes no pictures."""


class ModelUnknown(Exception):
    """The chosen provider has no such model."""


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller wants of a run: `docs/protocol.md`, `POST /chat/stream`, validated."""

    owner: str
    message: str
    session_id: UUID | None
    provider: str | None
    model: str | None
    tool_calls: tuple[ToolRequest, ...]
    images: tuple[Image, ...]
    instructions: str | None
    tools: tuple[str, ...]
    max_output_tokens: int | None
    temperature: float | None
    on_disconnect: Literal["cancel", "continue"]
    user: str
    metadata: dict[str, Any]

    @property
    def asks_model(self) -> bool:
        return bool(self.message or self.images)


class Service:
    """Starts runs. Everything that it is made of can be replaced by a test."""

    def __init__(self, *, catalogue: Catalogue, tools: Callable[[], Toolset], stored: bool) -> None:
        self.catalogue = catalogue
        self.stored = stored
        journal = Journal(_commit if stored else _pretend, seconds=conf.journal_seconds())
        self._patience = conf.patience()
        self.supervisor = Supervisor(journal, self._patience, most=conf.max_active_runs(), stored=stored)
        self._watch = Watch(newest)
        self._lease = Lease(conf.lease_seconds())
        self._rounds = Rounds(self._round)
        self._tools = tools
        self._prices = conf.prices()
        self._limits = conf.limits()
        self._retries = conf.retries()
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

    async def start(self, ask: Ask) -> LiveRun:
        """Writes down what is about to happen, and starts it.

        Raises what `Catalogue.candidates`, `Supervisor.admission` and `store.begin` raise, `ImagesUnsupported`,
        `ModelUnknown` and `StorageUnavailable`; nothing has happened then.
        """
        await self.open()
        candidates = self._candidates(ask)
        run_id, session_id = new_id(), ask.session_id or new_id()
        first = candidates[0] if candidates else None
        start = Start(
            run_id=str(run_id),
            session_id=str(session_id) if self.stored else None,
            provider=first.provider.name if first else None,
            model=first.model if first else None,
        )
        with self.supervisor.admission():
            if self.stored:
                await writer.write(partial(store.begin, self._beginning(ask, start)))
            return self.supervisor.start(
                Launch(
                    run_id=run_id,
                    session_id=session_id,
                    owner=ask.owner,
                    start=start,
                    turn=partial(self._turn, ask, run_id, session_id, candidates),
                    max_seconds=self._limits.max_seconds,
                    cancel_unfollowed=ask.on_disconnect == "cancel",
                )
            )

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

    def follow(self, run_id: UUID, owner: str, cursor: int) -> Follower:
        """The run's frames from behind number `cursor`, wherever it lives."""
        source = RunSource(run_id, owner, self.supervisor.find, self._watch, is_stored=self.stored)
        return Follower(source, cursor, heartbeat=self._patience.heartbeat, patience=self._patience.slow_reader)

    async def warm_up(self) -> None:
        """Does now what the first request would wait for. Raises `ProviderError` and `NotConfigured`."""
        provider = self.catalogue.get(self.catalogue.default)
        await provider.warm_up()
        await asyncio.to_thread(self._prices, provider.name, provider.default_model, NO_TOKENS)

    async def describe_providers(self) -> list[dict[str, Any]]:
        """Each provider: whether it is configured and why not, and what it can do."""
        return list(await asyncio.gather(*map(self._describe, self.catalogue.names)))

    async def close(self) -> None:
        """Ends the runs as interrupted, and the providers' connections."""
        self._rounds.close()
        await self.supervisor.close()
        self._watch.close()
        await self.catalogue.close()

    async def _describe(self, name: str) -> dict[str, Any]:
        missing = self.catalogue.missing(name)
        told: dict[str, Any] = {"name": name, "configured": not missing, "reason": missing or None, "models": []}
        told |= {"default": name == self.catalogue.default, "default_model": None, "capabilities": []}
        if missing:
            return told
        provider = self.catalogue.get(name)
        able = {"tools": provider.supports_tools, "images": provider.supports_images}
        told |= {"default_model": provider.default_model, "models": [provider.default_model]}
        told["capabilities"] = ["streaming", *(what for what, can in able.items() if can)]
        try:
            told["models"] = list(await provider.models())
        except ProviderError as error:
            told["reason"] = str(error)
        return told

    def _candidates(self, ask: Ask) -> tuple[Candidate, ...]:
        if not ask.asks_model:
            if ask.provider:
                self.catalogue.get(ask.provider)
            return ()
        first, *others = self.catalogue.candidates(ask.provider, ask.model)
        provider = self.catalogue.get(first.provider.name)
        if not provider.has_model(first.model):
            raise ModelUnknown(
                f"{provider.name} has no model {first.model!r}; its default is {provider.default_model}."
            )
        if ask.images and not provider.supports_images:
            raise ImagesUnsupported(f"{provider.name} takes no pictures.")
        return (first, *(other for other in others if not ask.images or other.supports_images))

    def _beginning(self, ask: Ask, start: Start) -> store.Beginning:
        return store.Beginning(
            run_id=UUID(start.run_id),
            session_id=UUID(start.session_id),
            new_session=ask.session_id is None,
            owner=ask.owner,
            user=ask.user,
            message=_user_message(ask),
            provider=start.provider or "",
            model=start.model or "",
            options=_options(ask),
            metadata=ask.metadata,
            start_frame=sse.frame(1, start),
        )

    async def _round(self) -> None:
        await self._lease.keep()
        for run_id in await read(waiting.ready, timezone.now()):
            await self.go_on(run_id)

    def _relaunch(self, taken: waiting.Taken) -> Launch:
        row = taken.row
        ask = _asked_before(taken)
        start = Start(
            run_id=str(row.id), session_id=str(row.session_id), provider=row.provider or None, model=row.model or None
        )
        turn = partial(self._turn, ask, row.id, row.session_id, self._candidates_again(ask), taken.resumption)
        return Launch(
            run_id=row.id,
            session_id=row.session_id,
            owner=taken.owner,
            start=start,
            turn=turn,
            max_seconds=taken.seconds_left,
            cancel_unfollowed=ask.on_disconnect == "cancel",
            last=taken.last,
            text=taken.text,
            created=row.created,
        )

    def _candidates_again(self, ask: Ask) -> tuple[Candidate, ...]:
        """Who may answer a run that goes on; nobody, where its provider is configured no more."""
        if not ask.provider:
            return ()
        try:
            return self.catalogue.candidates(ask.provider, ask.model)
        except (NotConfigured, UnknownProvider):
            return ()

    async def _turn(
        self,
        ask: Ask,
        run_id: UUID,
        session_id: UUID,
        candidates: tuple[Candidate, ...],
        resumption: Resumption | None = None,
    ) -> Turn:
        door = self._door(ask, run_id, session_id)
        plan = Plan(
            run_id=str(run_id),
            session_id=str(session_id) if self.stored else None,
            messages=await self._messages(ask),
            caller_calls=ask.tool_calls,
            asks_model=resumption.suspended.asks_model if resumption else ask.asks_model,
            candidates=candidates,
            instructions=conf.system_prompt() if ask.instructions is None else ask.instructions,
            tools=door.specs(),
            max_output_tokens=ask.max_output_tokens,
            temperature=ask.temperature,
            limits=self._limits,
            retries=self._retries,
        )
        return Turn(plan, door=door, price=self._prices, sleep=asyncio.sleep, resumption=resumption)

    async def _messages(self, ask: Ask) -> tuple[Message, ...]:
        if ask.session_id is not None:
            return await read(history, ask.session_id)
        message = _user_message(ask)
        return (message,) if message else ()

    def _door(self, ask: Ask, run_id: UUID, session_id: UUID) -> ToolDoor:
        place = Place(owner=ask.owner, session_id=session_id, run_id=run_id)
        tools = self._tools()
        keep = partial(_keep_of, run_id) if self.stored else _forget
        return ToolDoor(tools, place, keep, offered=tools.registry.matching(ask.tools), stored=self.stored)


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


async def close() -> None:
    """Ends the running event loop's service, if it has one. It refuses new runs from then on; safe to call again."""
    service = _services.get(asyncio.get_running_loop())
    if service is not None:
        await service.close()


async def _commit(batch: Batch) -> Collection[UUID]:
    return await writer.write(partial(store.keep, batch.frames, batch.records))


async def _pretend(_: Batch) -> Collection[UUID]:
    """Keeps nothing, and loses no run."""
    return ()


async def _keep_of(run_id: UUID, job: Callable[[], Any]) -> Any:
    return await writer.write(partial(store.of_own_run, run_id, job))


async def _forget(_: object) -> None:
    """Keeps nothing."""


def _user_message(ask: Ask) -> UserMessage | None:
    return UserMessage(text=ask.message, images=ask.images) if ask.asks_model else None


def _asked_before(taken: waiting.Taken) -> Ask:
    """What a run that goes on was asked for; what was said is in its session."""
    row, options = taken.row, taken.row.options
    return Ask(
        owner=taken.owner,
        message="",
        session_id=row.session_id,
        provider=row.provider or None,
        model=row.model or None,
        tool_calls=(),
        images=(),
        instructions=options.get("instructions"),
        tools=tuple(options.get("tools", ["*"])),
        max_output_tokens=options.get("max_output_tokens"),
        temperature=options.get("temperature"),
        on_disconnect=options["on_disconnect"],
        user=row.session.user,
        metadata=row.metadata,
    )


def _options(ask: Ask) -> dict[str, Any]:
    """What the run was asked for beyond its message, as far as it was."""
    options: dict[str, Any] = {
        "instructions": ask.instructions,
        "tools": list(ask.tools) if ask.tools != ("*",) else None,
        "max_output_tokens": ask.max_output_tokens,
        "temperature": ask.temperature,
        "on_disconnect": ask.on_disconnect,
        "tool_calls": [call.tool for call in ask.tool_calls] or None,
    }
    return {name: value for name, value in options.items() if value is not None}
