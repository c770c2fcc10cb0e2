"""One run while it lives: the task that plays its turn, what stops it, and what is kept of it."""

import asyncio
import logging
from contextlib import aclosing
from datetime import datetime
from functools import partial
from math import inf
from typing import Any, Literal
from uuid import UUID

import msgspec
from django.utils import timezone

from chat.engine.events import ApprovalRequired, End, Error, Retry, Terminal, TotalUsage, Usage
from chat.engine.loop import Item, MessageAdded, Suspended, Turn
from chat.engine.model_port import Text
from chat.engine.transcript import fold
from chat.models import Run
from chat.runs.live import suspension, tracing
from chat.runs.live.metrics import record_call, record_end
from chat.runs.live.outcome import FAILURES, INTERNAL, NOT_KEPT, SHUTTING_DOWN, Ending, Stop, ending_of, finish, stop_of
from chat.runs.live.spec import RunSpec
from chat.runs.live.subscribers import StreamTimeouts, Subscribers
from chat.runs.log import message_rows
from chat.runs.log.broadcast import Broadcast
from chat.runs.log.frame_store import NotOwner
from chat.runs.log.journal import Journal, RunLog
from chat.wire import sse
from storage.writer import StorageUnavailable
from telemetry import metrics
from tools.execution.rows import close_awaited

logger = logging.getLogger(__name__)


class LiveRun:
    """A run of this process. Its `broadcast` has all its frames, and outlives it for those who follow."""

    def __init__(self, spec: RunSpec, journal: Journal, timeouts: StreamTimeouts) -> None:
        self.spec = spec
        self.broadcast = Broadcast(spec.last)
        if spec.last == 0:
            self.broadcast.publish(1, sse.frame(1, spec.start))
        self.created = spec.created or timezone.now()
        self.ended: datetime | None = None
        self.ending: Ending | None = None
        self.audience = Subscribers(
            timeouts.grace if spec.cancel_unfollowed else inf,
            give_up=partial(self.stop, "cancelled"),
            followed_elsewhere=spec.followed_elsewhere,
        )
        self._log = RunLog(spec.run_id, journal, self.broadcast, self._not_kept)
        self._wrote = (spec.start.provider or "", spec.start.model or "")
        self._turn: Turn | None = None
        self._started = asyncio.get_running_loop().time()
        self._playing = asyncio.get_running_loop().create_task(self._play())
        self._stop: Stop | None = None
        self._awaited: UUID | None = None
        self._has_spoken = False
        self._trace = tracing.begin(spec.start, goes_on=spec.last > 0)
        if self._trace is not None:
            spec.budget.asking = self._trace.asking

    async def live(self) -> None:
        """Plays the turn to its end, whatever end that is, and has it kept. Cancel it only with the process."""
        loop = asyncio.get_running_loop()
        limit = loop.call_later(self.spec.max_seconds, self.stop, "max_seconds")
        let_go = self.spec.on_revoked(lambda _: self.stop("cancelled"))
        ended: asyncio.Future[None] = loop.create_future()
        self._playing.add_done_callback(partial(_tell, ended))
        await ended
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
        transcript = fold(sse.events(self.broadcast.frames()))
        ending = self.ending
        provider, model = self._wrote
        usage = ending.usage if ending else self._usage()
        return {
            "id": self.spec.run_id,
            "session_id": self.spec.start.session_id,
            "status": ending.status if ending else Run.Status.RUNNING,
            "reason": ending.reason if ending else None,
            "provider": provider or None,
            "model": model or None,
            "text": self.spec.text + transcript.text,
            "usage": msgspec.to_builtins(usage),
            "cost_usd": usage.cost_usd,
            "error": (ending.error or None) if ending else None,
            "created": self.created,
            "started": self.created,
            "ended": self.ended,
        }

    def joined(self) -> None:
        """Somebody follows the run: while anybody does, it is not given up."""
        self.audience.joined()

    def left(self) -> None:
        """Somebody follows the run no more."""
        self.audience.left()

    async def _play(self) -> Terminal | Suspended:
        terminal: Terminal | Suspended = INTERNAL
        self._turn = await self.spec.turn()
        async with aclosing(self._turn.run(self._hear)) as items:
            async for item in items:
                if isinstance(item, End | Error | Suspended):
                    terminal = item
                else:
                    self._take(item)
        return terminal

    def _hear(self, text: Text) -> None:
        if not self._has_spoken:
            self._has_spoken = True
            metrics.first_token_seconds.add(asyncio.get_running_loop().time() - self._started)
        self._log.tokens(text)

    def _take(self, item: Item) -> None:
        if self._trace is not None:
            self._trace.note(item)
        if isinstance(item, MessageAdded):
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
        record_call(self.spec.budget.asked, usage)
        told = self.spec.budget.settled(usage)
        self._log.record(self.spec.budget.settlement(usage))
        for event in told:
            self._log.append(event, urgent=False)

    def _keep(self, said: MessageAdded) -> None:
        if said.candidate is not None:
            self._wrote = (said.candidate.provider.name, said.candidate.model)
        ids = self.spec.session_id, self.spec.run_id
        self._log.record(partial(message_rows.say, *ids, said.message, said.candidate, said.usage))

    def _not_kept(self, error: StorageUnavailable) -> None:
        self.stop(stop_of(error))

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
            return FAILURES[stop_of(error)]
        logger.error("run.broken", exc_info=error, extra={"run_id": str(self.spec.run_id)})
        return INTERNAL

    def _stopped(self) -> Terminal:
        if self._stop == "cancelled" or self._stop == "max_seconds":  # noqa: PLR1714 - it narrows the literal
            return self._end(self._stop)
        return FAILURES[self._stop] if self._stop else SHUTTING_DOWN

    def _end(self, reason: Literal["cancelled", "max_seconds"]) -> End:
        if self._turn is not None:
            return self._turn.end(reason)
        start = self.spec.start
        return End(reason=reason, run_id=start.run_id, session_id=start.session_id, usage=TotalUsage())

    async def _finish(self, terminal: Terminal) -> None:
        ids = self.spec.run_id, self.spec.session_id
        self.ending = ending_of(*ids, terminal, wrote=self._wrote, usage=self._usage())
        self.ended = timezone.now()
        if self._awaited is not None:
            self._log.record(partial(close_awaited, self._awaited))
        if closing := self.spec.budget.closing():
            self._log.record(closing)
        self._log.record(partial(finish, self.ending))
        self._log.append(terminal)
        try:
            await self._log.settled()
        except NotOwner:
            self._log.drop()
            self._close(parked=True)
            return
        except StorageUnavailable:
            self._log.abandon()
        self._close()

    def _close(self, *, parked: bool = False) -> None:
        """No more of the run will come here."""
        self.audience.close()
        self.broadcast.close(parked=parked)

    async def _park(self, suspended: Suspended) -> bool:
        """Lets the run wait in the database, with nothing of it here. False where the database does not take it."""
        spent = asyncio.get_running_loop().time() - self._started
        parked = suspension.Suspension(
            run_id=self.spec.run_id,
            suspended=suspended,
            seconds_left=max(0.0, self.spec.max_seconds - spent),
            provider=self._wrote[0],
            model=self._wrote[1],
        )
        self._log.record(partial(suspension.suspend, parked))
        try:
            await self._log.settled()
        except StorageUnavailable:
            return False
        if self._trace is not None:
            self._trace.park()
        self._close(parked=True)
        return True

    def _usage(self) -> TotalUsage:
        return self._turn.usage if self._turn is not None else TotalUsage()

    def _report(self, seconds: float) -> None:
        """Tells the trace, the metrics and the log that the run has ended, after so many seconds here."""
        if self.ending is not None:
            if self._trace is not None:
                self._trace.end(self.ending)
            if not self.broadcast.parked:
                record_end(self.ending, self.spec.budget.asked, seconds)
            logger.info("run.ended", extra=self.ending.logged(seconds))


def _tell(waiter: "asyncio.Future[None]", _: object) -> None:
    if not waiter.done():
        waiter.set_result(None)
