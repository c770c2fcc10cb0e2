"""Word between processes that a run has moved on, over a channel layer.

Nothing depends on it: what is lost on the way, or all of it where there is no layer, the polls find a moment later.

A process whose readers follow another's run says so every second; the owner then sends word of each commit.
"""

import asyncio
import hashlib
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final
from uuid import UUID

from channels.layers import BaseChannelLayer  # type: ignore[import-untyped]  # it ships no types

logger = logging.getLogger(__name__)

INTEREST_SECONDS: Final = 3.0
"""How long an owner sends word to a process that has asked for it."""

PAUSE_SECONDS: Final = 1.0
"""Before a layer that failed is tried again."""


def channel_of(process: str) -> str:
    """The channel that a process listens to."""
    return f"process.{hashlib.sha256(process.encode()).hexdigest()[:32]}"


class Notifications:
    """The word of one process, as the layer carries it."""

    def __init__(self, layer: BaseChannelLayer, process: str) -> None:
        self._layer = layer
        self._own = channel_of(process)
        self._news: Callable[[UUID], None] | None = None
        self._ordered: Callable[[], None] | None = None
        self._interested: dict[UUID, dict[str, float]] = defaultdict(dict)
        self._listening: asyncio.Task[None] | None = None
        self._sending: set[asyncio.Task[None]] = set()

    def start(self, *, news: Callable[[UUID], None], ordered: Callable[[], None]) -> None:
        """Listens: `news` is told of a run that has moved on elsewhere, `ordered` that an order waits.

        Safe to call again.
        """
        self._news, self._ordered = news, ordered
        if self._listening is None:
            self._listening = asyncio.get_running_loop().create_task(self._listen())

    async def close(self) -> None:
        tasks = [*self._sending, *([self._listening] if self._listening else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def follow(self, runs: Iterable[tuple[UUID, str]]) -> None:
        """Asks the owners of these runs for word."""
        for run_id, process in runs:
            self._send(channel_of(process), {"type": "follow", "run": str(run_id), "to": self._own})

    def order(self, process: str) -> None:
        """Tells a process that an order waits for it."""
        self._send(channel_of(process), {"type": "order"})

    def committed(self, runs: Collection[UUID]) -> None:
        """Sends word of runs of this process that have moved on, to those who asked for it."""
        if not self._interested:
            return
        now = asyncio.get_running_loop().time()
        for run_id in self._interested.keys() & runs:
            asked = self._interested[run_id]
            for channel in [channel for channel, until in asked.items() if until < now]:
                del asked[channel]
            for channel in asked:
                self._send(channel, {"type": "news", "run": str(run_id)})
            if not asked:
                del self._interested[run_id]

    def _send(self, channel: str, message: dict[str, Any]) -> None:
        task = asyncio.get_running_loop().create_task(self._deliver(channel, message))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _deliver(self, channel: str, message: dict[str, Any]) -> None:
        try:
            await self._layer.send(channel, message)
        except Exception as error:  # noqa: BLE001 - whatever a layer raises, the polls make up for it
            logger.debug("wakes.unsent", extra={"error": str(error)})

    async def _listen(self) -> None:
        while True:
            try:
                self._hear(await self._layer.receive(self._own))
            except Exception as error:  # noqa: BLE001 - as above
                logger.warning("wakes.unheard", extra={"error": str(error)})
                await asyncio.sleep(PAUSE_SECONDS)

    def _hear(self, message: dict[str, Any]) -> None:
        if message["type"] == "order" and self._ordered:
            self._ordered()
        elif message["type"] == "news" and self._news:
            self._news(UUID(message["run"]))
        elif message["type"] == "follow":
            until = asyncio.get_running_loop().time() + INTEREST_SECONDS
            self._interested[UUID(message["run"])][message["to"]] = until
