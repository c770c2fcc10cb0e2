"""What a process looks after at a steady pace."""

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
    """Makes one round after the other, from `start` until `close`; what fails one of them does not end them."""

    def __init__(self, make: Callable[[], Awaitable[None]]) -> None:
        self._make = make
        self._task: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()

    def start(self) -> None:
        """Safe to call again."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._go())

    def hurry(self) -> None:
        """Makes the next round now."""
        self._wanted.set()

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _go(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), ROUND_SECONDS)
            self._wanted.clear()
            try:
                await self._make()
            except (StorageUnavailable, TooManyRuns) as error:
                logger.warning("round.late", extra={"error": str(error)})
            except ShuttingDown:
                return
            except Exception:
                logger.exception("round.broken")
