"""The factory of runs: it turns a validated request into a run that is ready to start.

BudgetUnkept          a budget applies to the caller, but nothing is stored to count it by
"""

from collections.abc import Awaitable, Callable
from functools import partial
from uuid import UUID

import msgspec

from access import authenticator
from chat.engine.events import Start
from chat.engine.loop import Turn
from chat.engine.retry import Candidate
from chat.runs.cluster.remote_subscribers import is_followed
from chat.runs.live.budget import RunBudget
from chat.runs.live.spec import RunSpec, never_followed
from chat.runs.live.suspension import Resumed
from chat.runs.log.taint_columns import mark_run
from chat.runs.start.begin import RunStart, begin
from chat.starting.request import RunRequest
from chat.starting.turns import TurnFactory
from chat.wire import sse
from storage.ids import new_id
from tools.execution.taint import Taint, store_nothing


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
    """Makes runs for this process."""

    def __init__(self, turns: TurnFactory) -> None:
        self._turns = turns
        self._stored = turns.stored

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

        Raise `BudgetUnkept` and `PriceUnknown`.
        """
        run_id, session_id = new_id(), request.session_id or request.new_session_id or new_id()
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
            named_session=request.new_session_id is not None,
            caller=request.caller,
            user=request.user,
            message=request.user_message,
            earlier=request.earlier,
            provider=start_event.provider or "",
            model=start_event.model or "",
            options=request.options,
            metadata=request.metadata,
            start_frame=sse.frame(1, start_event),
            key=request.key,
            max_active_runs=max_active_runs,
            resumed_from=resumed_from,
            taint=request.taint,
        )
        write: Callable[[], None] = partial(begin, start)
        taint = self._taint(request, run_id, session_id)
        make: Callable[[], Awaitable[Turn]] = partial(
            self._turns.turn, request, run_id, session_id, candidates, budget, taint=taint, asks_model=asks_model
        )
        if budget.is_bound and candidates and request.session_id is None and not request.tool_calls:
            # The first model call is already known, so its reservation can commit together with the run.
            turn = await make()
            write = await budget.begin_reserved(*turn.first_call(), write)
            make = partial(_made, turn)
        seconds = self._turns.limits.max_seconds
        spec = self._spec(request, start_event, session_id, budget, make, taint=taint, max_seconds=seconds)
        return NewRun(start=start, begin=write, spec=spec, may_start=start.is_certain and not budget.is_bound)

    def resumed(self, resumed: Resumed, request: RunRequest, candidates: tuple[Candidate, ...]) -> RunSpec:
        """Return the spec of a run that waited for an approval and continues now. Raise `BudgetUnkept`."""
        row = resumed.row
        budget = self._budget(request, row.id, row.session_id)
        start_event = Start(
            run_id=str(row.id), session_id=str(row.session_id), provider=row.provider or None, model=row.model or None
        )
        taint = self._taint(request, row.id, row.session_id)
        make = partial(
            self._turns.turn,
            request,
            row.id,
            row.session_id,
            candidates,
            budget,
            taint=taint,
            asks_model=resumed.resumption.suspended.asks_model,
            resumption=resumed.resumption,
        )
        seconds = resumed.seconds_left
        spec = self._spec(request, start_event, row.session_id, budget, make, taint=taint, max_seconds=seconds)
        return msgspec.structs.replace(spec, last=resumed.last, text=resumed.text, created=row.created)

    def _budget(self, request: RunRequest, run_id: UUID, session_id: UUID) -> RunBudget:
        budget = self._turns.budget(request, run_id, session_id)
        if budget.is_bound and not self._stored:
            raise BudgetUnkept
        return budget

    def _taint(self, request: RunRequest, run_id: UUID, session_id: UUID) -> Taint:
        """Return the taint of a run before its session is read."""
        return Taint(request.taint, partial(mark_run, session_id, run_id) if self._stored else store_nothing)

    def _spec(
        self,
        request: RunRequest,
        start: Start,
        session_id: UUID,
        budget: RunBudget,
        turn: Callable[[], Awaitable[Turn]],
        *,
        taint: Taint,
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
            taint=taint,
            max_seconds=max_seconds,
            cancel_unfollowed=request.on_disconnect == "cancel",
            followed_elsewhere=partial(is_followed, run_id) if self._stored else never_followed,
        )


async def _made(turn: Turn) -> Turn:
    return turn
