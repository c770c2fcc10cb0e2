"""Periodic tasks of a process."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from chat.runs.live.manager import ShuttingDown
from chat.runs.start.begin import TooManyRuns
from storage.writer import StorageUnavailable

logger = logging.getLogger(__name__)

ROUND_SECONDS: Final = 0.25


class PeriodicTask:
    """Calls `make` every `ROUND_SECONDS`, from `start` until `close`. A round that fails does not end the task."""

    def __init__(self, make: Callable[[], Awaitable[None]]) -> None:
        self._make = make
        self._task: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()

    def start(self) -> None:
        """Start the task. Calling this again is safe."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._repeat())

    def hurry(self) -> None:
        """Begin the next round now."""
        self._hurry.set()

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _repeat(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), ROUND_SECONDS)
            self._hurry.clear()
            try:
                await self._make()
            except (StorageUnavailable, TooManyRuns) as error:
                # Both pass by themselves, and the next round does what this one left.
                logger.warning("round.late", extra={"error": str(error)})
            except ShuttingDown:
                return
            except Exception:
                logger.exception("round.broken")
