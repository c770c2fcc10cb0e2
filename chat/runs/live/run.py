"""A run in this process: the task that executes its turn, and the ways to stop it."""

import asyncio
import logging
from contextlib import aclosing
from datetime import datetime
from functools import partial
from math import inf
from typing import Any

import msgspec
from django.utils import timezone

from chat.engine.events import End, Error, Terminal, TotalUsage
from chat.engine.loop import Suspended, Turn
from chat.engine.transcript import fold
from chat.models import Run
from chat.runs.live.outcome import FAILURES, INTERNAL, NOT_STORED, SHUTTING_DOWN, Ending, Stop, stop_of
from chat.runs.live.recorder import RunRecorder
from chat.runs.live.spec import RunSpec
from chat.runs.live.subscribers import StreamTimeouts, Subscribers
from chat.runs.log.broadcast import Broadcast
from chat.runs.log.frame_store import NotOwner
from chat.runs.log.journal import Journal, RunLog
from chat.wire import sse
from storage.writer import StorageUnavailable

logger = logging.getLogger(__name__)


class LiveRun:
    """A run of this process. Its `broadcast` has all frames, and outlives the run for its subscribers."""

    def __init__(self, spec: RunSpec, journal: Journal, timeouts: StreamTimeouts) -> None:
        self.spec = spec
        self.broadcast = Broadcast(spec.last)
        if spec.last == 0:
            # The frame was stored with the run's row, so it does not go through the journal.
            self.broadcast.publish(1, sse.frame(1, spec.start))
        self.created = spec.created or timezone.now()
        self.ended: datetime | None = None
        self.ending: Ending | None = None
        self.subscribers = Subscribers(
            timeouts.grace if spec.cancel_unfollowed else inf,
            give_up=partial(self.stop, "cancelled"),
            followed_elsewhere=spec.followed_elsewhere,
        )
        self._log = RunLog(spec.run_id, journal, self.broadcast, lambda error: self.stop(stop_of(error)))
        self._recorder = RunRecorder(spec, self._log)
        self._turn: Turn | None = None
        self._playing = asyncio.get_running_loop().create_task(self._play())
        self._stop: Stop | None = None

    async def live(self) -> None:
        """Execute the turn, and store its end. Cancel this only with the process."""
        limit = asyncio.get_running_loop().call_later(self.spec.max_seconds, self.stop, "max_seconds")
        unregister = self.spec.on_revoked(lambda _: self.stop("cancelled"))
        # The turn has a task of its own, so that stopping it does not cancel the storing of its end.
        await asyncio.wait([self._playing])
        unregister()
        limit.cancel()
        result = self._result()
        if isinstance(result, Suspended):
            if await self._suspend(result):
                return
            result = NOT_STORED
        self.ending = self._recorder.end(result, self._usage())
        self.ended = timezone.now()
        owned = await self._settle()
        self._recorder.report(self.ending, owned=owned)

    def stop(self, reason: Stop) -> None:
        """Stop the model and the tools; the output so far is stored. Only the first reason before the end counts."""
        if self._stop is None and not self._playing.done():
            self._stop = reason
            self._playing.cancel()

    def snapshot(self) -> dict[str, Any]:
        """Return the run as the API shows it: its output so far, and how it ended."""
        transcript = fold(sse.events(self.broadcast.frames()))
        ending = self.ending
        provider, model = self._recorder.answered_by
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
            "taint": self.spec.taint.sources,
            "created": self.created,
            "started": self.created,
            "ended": self.ended,
        }

    def joined(self) -> None:
        """Add a subscriber. A run with subscribers is not given up."""
        self.subscribers.joined()

    def left(self) -> None:
        """Remove a subscriber."""
        self.subscribers.left()

    async def _play(self) -> Terminal | Suspended:
        terminal: Terminal | Suspended = INTERNAL
        self._turn = await self.spec.turn()
        async with aclosing(self._turn.run(self._recorder.on_text)) as items:
            async for item in items:
                if isinstance(item, End | Error | Suspended):
                    terminal = item
                else:
                    self._recorder.add(item)
        return terminal

    def _result(self) -> Terminal | Suspended:
        """Return how the turn ended. If it was stopped or broke, record its unfinished events first."""
        playing = self._playing
        if not playing.cancelled() and playing.exception() is None:
            return playing.result()
        if self._turn is not None:
            for item in self._turn.unfinished_events():
                self._recorder.add(item)
        if playing.cancelled():
            if self._stop == "cancelled" or self._stop == "max_seconds":  # noqa: PLR1714 - it narrows the literal
                if self._turn is not None:
                    return self._turn.end(self._stop)
                start = self.spec.start
                return End(reason=self._stop, run_id=start.run_id, session_id=start.session_id, usage=TotalUsage())
            return FAILURES[self._stop] if self._stop else SHUTTING_DOWN
        error = playing.exception()
        if isinstance(error, StorageUnavailable):
            return FAILURES[stop_of(error)]
        logger.error("run.broken", exc_info=error, extra={"run_id": str(self.spec.run_id)})
        return INTERNAL

    async def _settle(self) -> bool:
        """Wait until the end is stored, and close the run. Return whether this process still owned it."""
        try:
            await self._log.settled()
        except NotOwner:
            # Another process wrote the end of the run. Subscribers read it from the database.
            self._log.discard()
            self._close(suspended=True)
            return False
        except StorageUnavailable:
            # The reader is owed the end of its stream although it is not stored.
            self._log.publish_unstored()
        self._close()
        return True

    async def _suspend(self, suspended: Suspended) -> bool:
        """Leave the run waiting in the database only. Return False if the database did not store it."""
        self._recorder.suspend(suspended)
        try:
            await self._log.settled()
        except StorageUnavailable:
            return False
        self._recorder.trace_suspension()
        self._close(suspended=True)
        return True

    def _close(self, *, suspended: bool = False) -> None:
        self.subscribers.close()
        self.broadcast.close(suspended=suspended)

    def _usage(self) -> TotalUsage:
        return self._turn.usage if self._turn is not None else TotalUsage()
