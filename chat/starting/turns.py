"""The factory of turns: it gives the agent loop its tools, its history, its limits and its budget."""

import asyncio
from collections.abc import Callable
from functools import partial
from uuid import UUID

from chat import conf
from chat.engine.loop import Plan, Resumption, Turn
from chat.engine.messages import History
from chat.engine.retry import Candidate
from chat.history.messages import conversation_of
from chat.runs.live.budget import RunBudget, Tariff
from chat.runs.log.journals import write_if_owner
from chat.starting.offers import Offers
from chat.starting.request import RunRequest
from chat.starting.system_prompt import system_prompt
from spending.accounts import payer
from storage.reader import read
from tools.execution.context import ToolContext
from tools.execution.executor import ToolExecutor
from tools.execution.taint import Taint


class TurnFactory:
    """Makes turns and their budgets. `stored` means that conversations are kept in the database."""

    def __init__(self, tools: Callable[[], ToolContext], tariff: Tariff, *, stored: bool) -> None:
        self.limits = conf.limits()
        self.stored = stored
        self._tools = tools
        self._tariff = tariff
        self._retries = conf.retries()
        self._offers = Offers(many=conf.many_tools(), max_tokens=conf.tool_tokens())

    def budget(self, request: RunRequest, run_id: UUID, session_id: UUID) -> RunBudget:
        """Return the budgets that apply to a run."""
        return RunBudget(
            run_id, payer(request.caller, run_id, session_id), self._tariff, partial(write_if_owner, run_id)
        )

    async def turn(
        self,
        request: RunRequest,
        run_id: UUID,
        session_id: UUID,
        candidates: tuple[Candidate, ...],
        budget: RunBudget,
        *,
        taint: Taint,
        asks_model: bool | None = None,
        resumption: Resumption | None = None,
    ) -> Turn:
        """Return the turn of a run, with its conversation read from the database. Raise `StorageUnavailable`.

        The `taint` of the session is added to that of the run.
        """
        tools = self._tools()
        offered = self._offers.of(tools, request)
        executor = ToolExecutor(
            tools,
            payer(request.caller, run_id, session_id),
            partial(write_if_owner, run_id) if self.stored else discard,
            offered=offered.with_client_tools(request.client_tools),
            stored=self.stored,
            granted=request.caller.scopes.may_use,
            taint=taint,
        )
        message = request.user_message
        conversation = History.of(*request.earlier, *((message,) if message else ()))
        if request.session_id is not None:
            # The session's history contains the message already: it was stored when the run began.
            conversation, earlier = await read(conversation_of, request.session_id)
            for source, tool in earlier.items():
                taint.add(source, tool)
        plan = Plan(
            run_id=str(run_id),
            session_id=str(session_id) if self.stored else None,
            history=conversation,
            caller_calls=request.tool_calls,
            asks_model=request.asks_model if asks_model is None else asks_model,
            compacts=request.compacts,
            candidates=candidates,
            instructions=await system_prompt(request, session_id, tools.policy, executor.specs()),
            tools=executor.specs(),
            tool_search=self._offers.search(offered, conversation.entries),
            sampling=request.sampling,
            shows_reasoning=request.shows_reasoning,
            output_schema=request.output_schema,
            limits=self.limits,
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


async def discard(_: object) -> None:
    """Store nothing."""
