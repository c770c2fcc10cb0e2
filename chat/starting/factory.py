"""The factory of runs: it turns a validated request into a run that is ready to start.

ImagesUnsupported     the chosen provider takes no images
ModelUnknown          the chosen provider has no such model
BudgetUnkept          a budget applies to the caller, but nothing is stored to count it by
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final
from uuid import UUID

import msgspec

from access import authenticator
from chat import conf
from chat.engine.events import Start
from chat.engine.loop import Plan, Resumption, Turn
from chat.engine.messages import Message
from chat.engine.retry import Candidate
from chat.history.messages import history
from chat.providers.registry import NotConfigured, ProviderRegistry, UnknownProvider
from chat.runs.cluster import remote_subscribers
from chat.runs.live.budget import RunBudget, Tariff
from chat.runs.live.spec import RunSpec
from chat.runs.live.suspension import Resumed
from chat.runs.log import frame_store
from chat.runs.start.begin import RunStart, begin
from chat.starting.request import RunRequest, request_of
from chat.wire import sse
from spending.accounts import payer
from storage.ids import new_id
from storage.reader import read
from storage.writer import writer
from tools.execution.context import ToolContext
from tools.execution.executor import ToolExecutor
from tools.execution.offered import OfferedTools, offered_tools

MAX_OFFERS: Final = 64
"""Different sets of offered tools that are remembered, one for each kind of caller."""


class ImagesUnsupported(Exception):
    """The chosen provider takes no images."""


class ModelUnknown(Exception):
    """The chosen provider has no such model."""


class BudgetUnkept(Exception):
    """A budget applies to the caller, but nothing is stored to count it by."""


class NewRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is ready to start: `begin` writes the rows of `start`, then `spec` is handed to the run manager.

    With `may_start`, no stored state can reject the run, so the model call may begin before the insert commits.
    """

    start: RunStart
    begin: Callable[[], None]
    spec: RunSpec
    may_start: bool


class RunFactory:
    """Makes runs for this process. `stored` says that conversations are kept in the database."""

    def __init__(
        self, providers: ProviderRegistry, tools: Callable[[], ToolContext], tariff: Tariff, *, stored: bool
    ) -> None:
        self._providers = providers
        self._tools = tools
        self._tariff = tariff
        self._stored = stored
        self._limits = conf.limits()
        self._retries = conf.retries()
        self._offers: dict[tuple[tuple[str, ...], tuple[str, ...]], OfferedTools] = {}

    def candidates(self, request: RunRequest) -> tuple[Candidate, ...]:
        """Return the providers to ask, in order; none if the request only runs tools.

        Raises `UnknownProvider`, `NotConfigured`, `ModelUnknown` and `ImagesUnsupported`.
        """
        if not request.asks_model:
            if request.provider:
                self._providers.get(request.provider)
            return ()
        first, *others = self._providers.candidates(request.provider, request.model)
        provider = self._providers.get(first.provider.name)
        if not provider.has_model(first.model):
            raise ModelUnknown(
                f"{provider.name} has no model {first.model!r}; its default is {provider.default_model}."
            )
        if request.images and not provider.supports_images:
            raise ImagesUnsupported(f"{provider.name} does not support images.")
        return (first, *(other for other in others if not request.images or other.supports_images))

    def candidates_again(self, request: RunRequest) -> tuple[Candidate, ...]:
        """Return the providers for a run that continues; none if its provider is no longer configured."""
        if not request.provider:
            return ()
        try:
            return self._providers.candidates(request.provider, request.model)
        except (NotConfigured, UnknownProvider):
            return ()

    async def new(
        self,
        request: RunRequest,
        candidates: tuple[Candidate, ...],
        *,
        max_active_runs: int | None,
        asks_model: bool | None = None,
        resumed_from: UUID | None = None,
    ) -> NewRun:
        """Return a new run. `resumed_from` is the interrupted run that it continues.

        If a budget applies, the first model call is prepared here, so that its reservation commits with the run.
        Raises `BudgetUnkept` and `PriceUnknown`.
        """
        run_id, session_id = new_id(), request.session_id or new_id()
        budget = self._budget(request, run_id, session_id)
        budget.check(candidates)
        first = candidates[0] if candidates else None
        start_event = Start(
            run_id=str(run_id),
            session_id=str(session_id) if self._stored else None,
            provider=first.provider.name if first else None,
            model=first.model if first else None,
        )
        start = RunStart(
            run_id=run_id,
            session_id=session_id,
            new_session=request.session_id is None,
            caller=request.caller,
            user=request.user,
            message=request.user_message,
            provider=start_event.provider or "",
            model=start_event.model or "",
            options=request.options,
            metadata=request.metadata,
            start_frame=sse.frame(1, start_event),
            key=request.key,
            max_active_runs=max_active_runs,
            resumed_from=resumed_from,
        )
        write: Callable[[], None] = partial(begin, start)
        make: Callable[[], Awaitable[Turn]] = partial(
            self._turn, request, run_id, session_id, candidates, budget, asks_model=asks_model
        )
        if budget.is_bound and candidates and request.session_id is None and not request.tool_calls:
            turn = await make()
            write = await budget.reserving(*turn.first_call(), write)
            make = partial(_made, turn)
        spec = self._spec(request, start_event, session_id, budget, make, max_seconds=self._limits.max_seconds)
        return NewRun(start=start, begin=write, spec=spec, may_start=start.is_certain and not budget.is_bound)

    def resumed(self, resumed: Resumed) -> RunSpec:
        """Return the spec of a run that waited for an approval and continues now."""
        row = resumed.row
        request = request_of(row, resumed.caller)
        budget = self._budget(request, row.id, row.session_id)
        start_event = Start(
            run_id=str(row.id), session_id=str(row.session_id), provider=row.provider or None, model=row.model or None
        )
        make = partial(
            self._turn,
            request,
            row.id,
            row.session_id,
            self.candidates_again(request),
            budget,
            asks_model=resumed.resumption.suspended.asks_model,
            resumption=resumed.resumption,
        )
        spec = self._spec(request, start_event, row.session_id, budget, make, max_seconds=resumed.seconds_left)
        return msgspec.structs.replace(spec, last=resumed.last, text=resumed.text, created=row.created)

    def _budget(self, request: RunRequest, run_id: UUID, session_id: UUID) -> RunBudget:
        budget = RunBudget(
            run_id, payer(request.caller, run_id, session_id), self._tariff, partial(_write_if_owner, run_id)
        )
        if budget.is_bound and not self._stored:
            raise BudgetUnkept
        return budget

    def _spec(
        self,
        request: RunRequest,
        start: Start,
        session_id: UUID,
        budget: RunBudget,
        turn: Callable[[], Awaitable[Turn]],
        *,
        max_seconds: float,
    ) -> RunSpec:
        run_id = UUID(start.run_id)
        return RunSpec(
            run_id=run_id,
            session_id=session_id,
            owner=request.owner,
            budget=budget,
            on_revoked=partial(authenticator.current().revocations.on_revoked, request.caller.key),
            start=start,
            turn=turn,
            max_seconds=max_seconds,
            cancel_unfollowed=request.on_disconnect == "cancel",
            followed_elsewhere=partial(read, remote_subscribers.is_marked, run_id) if self._stored else _never_followed,
        )

    async def _turn(
        self,
        request: RunRequest,
        run_id: UUID,
        session_id: UUID,
        candidates: tuple[Candidate, ...],
        budget: RunBudget,
        *,
        asks_model: bool | None = None,
        resumption: Resumption | None = None,
    ) -> Turn:
        tools = self._tools()
        executor = ToolExecutor(
            tools,
            payer(request.caller, run_id, session_id),
            partial(_write_if_owner, run_id) if self._stored else _discard,
            offered=self._offered(tools, request),
            stored=self._stored,
            granted=request.caller.scopes.may_use,
        )
        plan = Plan(
            run_id=str(run_id),
            session_id=str(session_id) if self._stored else None,
            messages=await self._messages(request),
            caller_calls=request.tool_calls,
            asks_model=request.asks_model if asks_model is None else asks_model,
            candidates=candidates,
            instructions=conf.system_prompt() if request.instructions is None else request.instructions,
            tools=executor.specs(),
            sampling=request.sampling,
            limits=self._limits,
            retries=self._retries,
        )
        return Turn(
            plan,
            executor=executor,
            price=self._tariff.price,
            sleep=asyncio.sleep,
            budget=budget,
            count=self._tariff.count,
            resumption=resumption,
        )

    async def _messages(self, request: RunRequest) -> tuple[Message, ...]:
        if request.session_id is not None:
            return await read(history, request.session_id)
        message = request.user_message
        return (message,) if message else ()

    def _offered(self, tools: ToolContext, request: RunRequest) -> OfferedTools:
        """Return the tools offered to the model. Callers with the same scopes and choice share one value."""
        kind = request.tools, request.caller.scopes.tools
        if kind not in self._offers:
            if len(self._offers) >= MAX_OFFERS:
                self._offers.clear()
            chosen = tools.registry.matching(request.tools)
            self._offers[kind] = offered_tools(chosen, tools.policy, request.caller.scopes.may_use)
        return self._offers[kind]


async def _made(turn: Turn) -> Turn:
    return turn


async def _write_if_owner(run_id: UUID, job: Callable[[], Any]) -> Any:
    return await writer.write(partial(frame_store.run_if_owner, run_id, job))


async def _discard(_: object) -> None:
    """Store nothing."""


async def _never_followed() -> bool:
    """Return False: without a database no other process can follow the run."""
    return False
