"""One run while it lives: the task that plays its turn, what stops it, and who follows it."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import datetime
from functools import partial
from typing import Any, Final, Literal
from uuid import UUID

import msgspec
from django.utils import timezone

from chat.engine.completion import Text
from chat.engine.events import ApprovalRequired, End, Error, Retry, Start, Terminal, TotalUsage, Usage
from chat.engine.transcript import fold
from chat.engine.turn import Item, Said, Suspended, Turn
from chat.models import Run
from chat.runs import store, trace, waiting
from chat.runs.feed import Feed
from chat.runs.journal import Journal, RunLog
from chat.runs.numbers import count_call, count_end
from chat.runs.purse import RunPurse
from chat.wire import sse
from storage.writer import StorageUnavailable
from telemetry import metrics
from tools.record import close_awaited

logger = logging.getLogger(__name__)

Stop = Literal["cancelled", "max_seconds", "shutting_down", "storage", "lost"]

ASK_SECONDS: Final = 1.0
"""The least time between two looks for followers in other processes."""

SHUTTING_DOWN: Final = Error(
    error="The service is shutting down; what was produced is kept.", code="shutting_down", retryable=True
)
LOST: Final = Error(error=store.NOT_OWNER, code="interrupted", retryable=True)
NOT_KEPT: Final = Error(error="The database did not take the run's events.", code="storage", retryable=True)
INTERNAL: Final = Error(
    error="The run failed by a fault of the service; the service's log says more.", code="internal", retryable=False
)


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds: of silence before a ping, before an unfollowed run is cancelled, before a stalled reader is dropped."""

    heartbeat: float
    grace: float
    slow_reader: float


Hold = Callable[[Callable[[object], None]], Callable[[], None]]
"""Has a function called when whoever began the run may not go on; returns what lets go of that."""


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """What starts a run, or lets one go on; `turn` is awaited in the run's own task.

    One that goes on has `last` events and the answer's `text` already, and was `created` before.
    """

    run_id: UUID
    session_id: UUID
    owner: str
    purse: RunPurse
    hold: Hold
    start: Start
    turn: Callable[[], Awaitable[Turn]]
    max_seconds: float
    cancel_unfollowed: bool
    followed_elsewhere: Callable[[], Awaitable[bool]]
    last: int = 0
    text: str = ""
    created: datetime | None = None


class LiveRun:
    """A run of this process. Its `feed` has all its frames, and outlives it for those who follow."""

    def __init__(self, launch: Launch, journal: Journal, patience: Patience) -> None:
        self.launch = launch
        self.feed = Feed(launch.last)
        if launch.last == 0:
            self.feed.publish(1, sse.frame(1, launch.start))
        self.created = launch.created or timezone.now()
        self.ended: datetime | None = None
        self.ending: store.Ending | None = None
        self._patience = patience
        self._log = RunLog(launch.run_id, journal, self.feed, self._not_kept)
        self._wrote = (launch.start.provider or "", launch.start.model or "")
        self._turn: Turn | None = None
        self._started = asyncio.get_running_loop().time()
        self._playing = asyncio.get_running_loop().create_task(self._play())
        self._stop: Stop | None = None
        self._followers = 0
        self._grace: asyncio.TimerHandle | None = None
        self._awaited: UUID | None = None
        self._asking: asyncio.Task[None] | None = None
        self._has_spoken = False
        self._trace = trace.begin(launch.start, goes_on=launch.last > 0)
        if self._trace is not None:
            launch.purse.asking = self._trace.asking

    async def live(self) -> None:
        """Plays the turn to its end, whatever end that is, and has it kept. Cancel it only with the process."""
        loop = asyncio.get_running_loop()
        limit = loop.call_later(self.launch.max_seconds, self.stop, "max_seconds")
        let_go = self.launch.hold(lambda _: self.stop("cancelled"))
        await asyncio.wait([self._playing])
        let_go()
        limit.cancel()
        played = self._terminal(self._playing)
        if isinstance(played, Suspended):
            if await self._park(played):
                return
            played = NOT_KEPT
        await self._finish(played)
        self._report(loop.time() - self._started)

    def stop(self, reason: Stop) -> None:
        """Stops the model and the tools; what was produced is kept. The first reason counts, and none after the end."""
        if self._stop is None and not self._playing.done():
            self._stop = reason
            self._playing.cancel()

    def snapshot(self) -> dict[str, Any]:
        """The run as the API tells of it: what it has produced so far, and how it ended if it has."""
        transcript = fold(sse.events(self.feed.frames()))
        ending = self.ending
        provider, model = self._wrote
        usage = ending.usage if ending else self._usage()
        return {
            "id": self.launch.run_id,
            "session_id": self.launch.start.session_id,
            "status": ending.status if ending else Run.Status.RUNNING,
            "reason": ending.reason if ending else None,
            "provider": provider or None,
            "model": model or None,
            "text": self.launch.text + transcript.text,
            "usage": msgspec.to_builtins(usage),
            "cost_usd": usage.cost_usd,
            "error": (ending.error or None) if ending else None,
            "created": self.created,
            "started": self.created,
            "ended": self.ended,
        }

    def joined(self) -> None:
        """Somebody follows the run: while anybody does, it is not given up."""
        self._followers += 1
        self._be_patient()

    def left(self) -> None:
        """Somebody follows the run no more."""
        self._followers -= 1
        if self._followers == 0 and self.launch.cancel_unfollowed and not self.feed.closed:
            loop = asyncio.get_running_loop()
            self._grace = loop.call_later(self._patience.grace, self._give_up)

    def _give_up(self) -> None:
        """Nobody follows the run here for too long."""
        self._asking = asyncio.get_running_loop().create_task(self._stop_unless_followed())

    async def _stop_unless_followed(self) -> None:
        followed = False
        with contextlib.suppress(StorageUnavailable):
            followed = await self.launch.followed_elsewhere()
        if self._followers:
            return
        if followed:
            self._grace = asyncio.get_running_loop().call_later(max(ASK_SECONDS, self._patience.grace), self._give_up)
        else:
            self.stop("cancelled")

    def _be_patient(self) -> None:
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None

    async def _play(self) -> Terminal | Suspended:
        terminal: Terminal | Suspended = INTERNAL
        self._turn = await self.launch.turn()
        async with aclosing(self._turn.run()) as items:
            async for item in items:
                if isinstance(item, Text):
                    if not self._has_spoken:
                        self._speak()
                    self._log.tokens(item)
                elif isinstance(item, End | Error | Suspended):
                    terminal = item
                else:
                    self._take(item)
        return terminal

    def _speak(self) -> None:
        """The first token is here."""
        self._has_spoken = True
        metrics.first_token_seconds.add(asyncio.get_running_loop().time() - self._started)

    def _take(self, item: Item) -> None:
        if self._trace is not None:
            self._trace.note(item)
        if isinstance(item, Text):
            self._log.tokens(item)
        elif isinstance(item, Said):
            self._keep(item)
        elif not isinstance(item, Suspended):
            if isinstance(item, ApprovalRequired):
                self._awaited = UUID(item.execution_id)
            self._log.append(item, urgent=not isinstance(item, Usage))
            if isinstance(item, Usage):
                self._pay(item)
            elif isinstance(item, Retry):
                metrics.provider_errors.add(item.provider, item.code)

    def _pay(self, usage: Usage) -> None:
        count_call(self.launch.purse.asked, usage)
        told = self.launch.purse.settled(usage)
        self._log.record(self.launch.purse.settlement(usage))
        for event in told:
            self._log.append(event, urgent=False)

    def _keep(self, said: Said) -> None:
        if said.candidate is not None:
            self._wrote = (said.candidate.provider.name, said.candidate.model)
        ids = self.launch.session_id, self.launch.run_id
        self._log.record(partial(store.say, *ids, said.message, said.candidate, said.usage))

    def _not_kept(self, error: StorageUnavailable) -> None:
        self.stop("lost" if isinstance(error, store.NotOwner) else "storage")

    def _terminal(self, played: "asyncio.Task[Terminal | Suspended]") -> Terminal | Suspended:
        """How the turn ended; one that was stopped, or broke, first says what remains to be said."""
        if not played.cancelled() and played.exception() is None:
            return played.result()
        if self._turn is not None:
            for item in self._turn.remains():
                self._take(item)
        if played.cancelled():
            return self._stopped()
        error = played.exception()
        if isinstance(error, StorageUnavailable):
            return LOST if isinstance(error, store.NotOwner) else NOT_KEPT
        logger.error("run.broken", exc_info=error, extra={"run_id": str(self.launch.run_id)})
        return INTERNAL

    def _stopped(self) -> Terminal:
        if self._stop == "storage" or self._stop == "lost":  # noqa: PLR1714 - it narrows the literal
            return LOST if self._stop == "lost" else NOT_KEPT
        if self._stop == "cancelled" or self._stop == "max_seconds":  # noqa: PLR1714 - it narrows the literal
            return self._end(self._stop)
        return SHUTTING_DOWN

    def _end(self, reason: Literal["cancelled", "max_seconds"]) -> End:
        if self._turn is not None:
            return self._turn.end(reason)
        start = self.launch.start
        return End(reason=reason, run_id=start.run_id, session_id=start.session_id, usage=TotalUsage())

    async def _finish(self, terminal: Terminal) -> None:
        self.ending = self._ending(terminal)
        self.ended = timezone.now()
        if self._awaited is not None:
            self._log.record(partial(close_awaited, self._awaited))
        if closing := self.launch.purse.closing():
            self._log.record(closing)
        self._log.record(partial(store.finish, self.ending))
        self._log.append(terminal)
        try:
            await self._log.settled()
        except store.NotOwner:
            self._log.drop()
            self._be_patient()
            self.feed.close(parked=True)
            return
        except StorageUnavailable:
            self._log.abandon()
        self._be_patient()
        self.feed.close()

    async def _park(self, suspended: Suspended) -> bool:
        """Lets the run wait in the database, with nothing of it here. False where the database does not take it."""
        spent = asyncio.get_running_loop().time() - self._started
        parked = waiting.Parked(
            run_id=self.launch.run_id,
            suspended=suspended,
            seconds_left=max(0.0, self.launch.max_seconds - spent),
            provider=self._wrote[0],
            model=self._wrote[1],
        )
        self._log.record(partial(waiting.park, parked))
        try:
            await self._log.settled()
        except StorageUnavailable:
            return False
        if self._trace is not None:
            self._trace.park()
        self._be_patient()
        self.feed.close(parked=True)
        return True

    def _ending(self, terminal: Terminal) -> store.Ending:
        provider, model = self._wrote
        return store.Ending(
            run_id=self.launch.run_id,
            session_id=self.launch.session_id,
            status=_status(terminal),
            reason=terminal.reason if isinstance(terminal, End) else terminal.code,
            error="" if isinstance(terminal, End) else terminal.error,
            retryable=isinstance(terminal, Error) and terminal.retryable,
            provider=provider,
            model=model,
            usage=terminal.usage if isinstance(terminal, End) else self._usage(),
        )

    def _usage(self) -> TotalUsage:
        return self._turn.usage if self._turn is not None else TotalUsage()

    def _report(self, seconds: float) -> None:
        ending = self.ending
        if ending is not None:
            if self._trace is not None:
                self._trace.end(ending)
            if not self.feed.parked:
                count_end(ending, self.launch.purse.asked, seconds)
            logger.info(
                "run.ended",
                extra={
                    "run_id": str(ending.run_id),
                    "session_id": str(ending.session_id),
                    "status": ending.status,
                    "reason": ending.reason,
                    "provider": ending.provider,
                    "model": ending.model,
                    "seconds": round(seconds, 3),
                    "input_tokens": ending.usage.input_tokens,
                    "output_tokens": ending.usage.output_tokens,
                },
            )


def _status(terminal: Terminal) -> Run.Status:
    if isinstance(terminal, End):
        return Run.Status.CANCELLED if terminal.reason == "cancelled" else Run.Status.COMPLETED
    return Run.Status.INTERRUPTED if terminal.code in {"shutting_down", "interrupted"} else Run.Status.FAILED
