"""What a run plays: who may answer it, what was said so far, and the door to the tools."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final
from uuid import UUID

from chat import conf
from chat.engine.budget_port import Budget
from chat.engine.loop import Plan, Resumption, Turn
from chat.engine.messages import Message
from chat.engine.retry import Candidate
from chat.history.messages import history
from chat.providers.registry import NotConfigured, ProviderRegistry, UnknownProvider
from chat.runs.live.budget import RunBudget, Tariff
from chat.runs.log import frame_store
from chat.starting.request import RunRequest
from spending.accounts import payer
from storage.reader import read
from storage.writer import writer
from tools.execution.context import ToolContext
from tools.execution.executor import ToolExecutor
from tools.execution.offered import OfferedTools, offered_tools

MOST_OFFERS: Final = 64
"""Kinds of callers whose offer of tools is remembered."""


class ImagesUnsupported(Exception):
    """The chosen provider takes no pictures."""


class ModelUnknown(Exception):
    """The chosen provider has no such model."""


class BudgetUnkept(Exception):
    """A budget holds for the caller, and nothing is kept that it could be counted by."""


class Turns:
    """Makes turns. `stored` says that what is said is kept in the database."""

    def __init__(
        self, catalogue: ProviderRegistry, tools: Callable[[], ToolContext], tariff: Tariff, *, stored: bool
    ) -> None:
        self._catalogue = catalogue
        self._tools = tools
        self._tariff = tariff
        self._stored = stored
        self._offers: dict[tuple[tuple[str, ...], tuple[str, ...]], OfferedTools] = {}
        self._limits = conf.limits()
        self._retries = conf.retries()

    def candidates(self, ask: RunRequest) -> tuple[Candidate, ...]:
        if not ask.asks_model:
            if ask.provider:
                self._catalogue.get(ask.provider)
            return ()
        first, *others = self._catalogue.candidates(ask.provider, ask.model)
        provider = self._catalogue.get(first.provider.name)
        if not provider.has_model(first.model):
            raise ModelUnknown(
                f"{provider.name} has no model {first.model!r}; its default is {provider.default_model}."
            )
        if ask.images and not provider.supports_images:
            raise ImagesUnsupported(f"{provider.name} takes no pictures.")
        return (first, *(other for other in others if not ask.images or other.supports_images))

    def purse(self, ask: RunRequest, run_id: UUID, session_id: UUID) -> RunBudget:
        """What the run may spend. Raises `BudgetUnkept`."""
        purse = RunBudget(run_id, payer(ask.caller, run_id, session_id), self._tariff, partial(_keep_of, run_id))
        if purse.is_bound and not self._stored:
            raise BudgetUnkept
        return purse

    def candidates_again(self, ask: RunRequest) -> tuple[Candidate, ...]:
        """Who may answer a run that goes on; nobody, where its provider is configured no more."""
        if not ask.provider:
            return ()
        try:
            return self._catalogue.candidates(ask.provider, ask.model)
        except (NotConfigured, UnknownProvider):
            return ()

    async def make(
        self,
        ask: RunRequest,
        run_id: UUID,
        session_id: UUID,
        candidates: tuple[Candidate, ...],
        *,
        purse: Budget,
        asks_model: bool | None = None,
        resumption: Resumption | None = None,
    ) -> Turn:
        door = self._door(ask, run_id, session_id)
        plan = Plan(
            run_id=str(run_id),
            session_id=str(session_id) if self._stored else None,
            messages=await self._messages(ask),
            caller_calls=ask.tool_calls,
            asks_model=ask.asks_model if asks_model is None else asks_model,
            candidates=candidates,
            instructions=conf.system_prompt() if ask.instructions is None else ask.instructions,
            tools=door.specs(),
            max_output_tokens=ask.max_output_tokens,
            temperature=ask.temperature,
            limits=self._limits,
            retries=self._retries,
        )
        return Turn(
            plan,
            door=door,
            price=self._tariff.price,
            sleep=asyncio.sleep,
            purse=purse,
            count=self._tariff.count,
            resumption=resumption,
        )

    async def _messages(self, ask: RunRequest) -> tuple[Message, ...]:
        if ask.session_id is not None:
            return await read(history, ask.session_id)
        message = ask.user_message
        return (message,) if message else ()

    def _door(self, ask: RunRequest, run_id: UUID, session_id: UUID) -> ToolExecutor:
        tools = self._tools()
        keep = partial(_keep_of, run_id) if self._stored else _forget
        return ToolExecutor(
            tools,
            payer(ask.caller, run_id, session_id),
            keep,
            offer=self._offer(tools, ask),
            stored=self._stored,
            granted=ask.caller.scopes.may_use,
        )

    def _offer(self, tools: ToolContext, ask: RunRequest) -> OfferedTools:
        """That of all callers who may use the same tools, and chose them in the same words."""
        kind = ask.tools, ask.caller.scopes.tools
        if kind not in self._offers:
            if len(self._offers) >= MOST_OFFERS:
                self._offers.clear()
            self._offers[kind] = offered_tools(
                tools.registry.matching(ask.tools), tools.policy, ask.caller.scopes.may_use
            )
        return self._offers[kind]


async def _keep_of(run_id: UUID, job: Callable[[], Any]) -> Any:
    return await writer.write(partial(frame_store.run_if_owner, run_id, job))


async def _forget(_: object) -> None:
    """Keeps nothing."""
