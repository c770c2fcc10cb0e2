"""What starts a run, made of what was asked for: a new one's, or one's that goes on."""

from collections.abc import Awaitable, Callable
from functools import partial
from uuid import UUID

import msgspec

from access import authenticator
from chat.engine.events import Start
from chat.engine.loop import Turn
from chat.engine.retry import Candidate
from chat.runs.cluster import remote_subscribers
from chat.runs.live.budget import RunBudget
from chat.runs.live.spec import RunSpec
from chat.runs.live.suspension import Resumed
from chat.runs.start.begin import RunStart, begin
from chat.starting.request import RunRequest, asked_before
from chat.starting.turns import Turns
from chat.wire import sse
from storage.ids import new_id
from storage.reader import read


class NewRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that can begin: `begin` writes the `beginning` down, and then the `launch` starts it.

    One that `may_start` before that needs nothing but the database's taking it: no claim, no room and no reservation
    can be refused it.
    """

    beginning: RunStart
    begin: Callable[[], None]
    launch: RunSpec
    may_start: bool


class RunFactory:
    """Makes launches. A run has `max_seconds`; `stored` says that it is kept in the database."""

    def __init__(self, turns: Turns, *, max_seconds: float, stored: bool) -> None:
        self._turns = turns
        self._max_seconds = max_seconds
        self._stored = stored

    async def new(
        self,
        ask: RunRequest,
        candidates: tuple[Candidate, ...],
        *,
        most_runs: int | None,
        asks_model: bool | None = None,
        resumed_from: UUID | None = None,
    ) -> NewRun:
        """A new run; `resumed_from` is the one whose work it goes on with.

        A first call that a budget holds for is made ready here, so that it is reserved with the beginning. Raises
        `BudgetUnkept` and `PriceUnknown`.
        """
        run_id, session_id = new_id(), ask.session_id or new_id()
        purse = self._turns.purse(ask, run_id, session_id)
        purse.check(candidates)
        start = self._start(run_id, session_id, candidates)
        beginning = _beginning(ask, start, session_id, resumed_from=resumed_from, most_runs=most_runs)
        write: Callable[[], None] = partial(begin, beginning)
        make = partial(self._turns.make, ask, run_id, session_id, candidates, purse=purse, asks_model=asks_model)
        play: Callable[[], Awaitable[Turn]] = make
        if purse.is_bound and candidates and ask.session_id is None and not ask.tool_calls:
            made = await make()
            play = partial(_made, made)
            write = await purse.reserving(*made.first_call(), write)
        launch = self._launch(ask, start, session_id, purse=purse, turn=play, max_seconds=self._max_seconds)
        return NewRun(
            beginning=beginning, begin=write, launch=launch, may_start=beginning.is_certain and not purse.is_bound
        )

    def again(self, taken: Resumed) -> RunSpec:
        """A run that has waited, and goes on."""
        row = taken.row
        ask = asked_before(row, taken.caller)
        purse = self._turns.purse(ask, row.id, row.session_id)
        start = Start(
            run_id=str(row.id), session_id=str(row.session_id), provider=row.provider or None, model=row.model or None
        )
        play = partial(
            self._turns.make,
            ask,
            row.id,
            row.session_id,
            self._turns.candidates_again(ask),
            purse=purse,
            asks_model=taken.resumption.suspended.asks_model,
            resumption=taken.resumption,
        )
        launch = self._launch(ask, start, row.session_id, purse=purse, turn=play, max_seconds=taken.seconds_left)
        return msgspec.structs.replace(launch, last=taken.last, text=taken.text, created=row.created)

    def _start(self, run_id: UUID, session_id: UUID, candidates: tuple[Candidate, ...]) -> Start:
        first = candidates[0] if candidates else None
        return Start(
            run_id=str(run_id),
            session_id=str(session_id) if self._stored else None,
            provider=first.provider.name if first else None,
            model=first.model if first else None,
        )

    def _launch(
        self,
        ask: RunRequest,
        start: Start,
        session_id: UUID,
        *,
        purse: RunBudget,
        turn: Callable[[], Awaitable[Turn]],
        max_seconds: float,
    ) -> RunSpec:
        run_id = UUID(start.run_id)
        return RunSpec(
            run_id=run_id,
            session_id=session_id,
            owner=ask.owner,
            purse=purse,
            hold=partial(authenticator.current().watch.hold, ask.caller.key),
            start=start,
            turn=turn,
            max_seconds=max_seconds,
            cancel_unfollowed=ask.on_disconnect == "cancel",
            followed_elsewhere=partial(read, remote_subscribers.is_marked, run_id) if self._stored else _nobody,
        )


def _beginning(
    ask: RunRequest, start: Start, session_id: UUID, *, resumed_from: UUID | None, most_runs: int | None
) -> RunStart:
    return RunStart(
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
        most_runs=most_runs,
        resumed_from=resumed_from,
    )


async def _made(turn: Turn) -> Turn:
    return turn


async def _nobody() -> bool:
    """Without a database nobody follows from elsewhere."""
    return False
