"""Notifications between processes that a run has new events, over a channel layer.

A process whose readers follow another process's run requests them every second. The owner then notifies it of each
commit.
"""

# Nothing depends on a notification. If one is lost, or there is no layer, polling finds the events a moment later.

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
"""Seconds for which an owner notifies a process after its request."""

PAUSE_SECONDS: Final = 1.0
"""Seconds before a layer that failed is tried again."""


def channel_of(process: str) -> str:
    """Return the name of the channel that a process listens to."""
    # Channels allows ASCII letters, digits, hyphens, underscores and periods, and fewer than 100 characters.
    return f"process.{hashlib.sha256(process.encode()).hexdigest()[:32]}"


class Notifications:
    """The sender and the receiver of one process's notifications."""

    def __init__(self, layer: BaseChannelLayer, process: str) -> None:
        self._layer = layer
        self._own = channel_of(process)
        self._on_news: Callable[[UUID], None] | None = None
        self._on_order: Callable[[], None] | None = None
        self._interested: dict[UUID, dict[str, float]] = defaultdict(dict)
        self._listening: asyncio.Task[None] | None = None
        self._sending: set[asyncio.Task[None]] = set()

    def start(self, *, on_news: Callable[[UUID], None], on_order: Callable[[], None]) -> None:
        """Listen. Call `on_news` when a run elsewhere has new events, and `on_order` when a command is stored.

        Calling this again is safe.
        """
        self._on_news, self._on_order = on_news, on_order
        if self._listening is None:
            self._listening = asyncio.get_running_loop().create_task(self._listen())

    async def close(self) -> None:
        tasks = [*self._sending, *([self._listening] if self._listening else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def follow(self, runs: Iterable[tuple[UUID, str]]) -> None:
        """Request notifications from the owners of these runs."""
        for run_id, process in runs:
            self._send(channel_of(process), {"type": "follow", "run": str(run_id), "to": self._own})

    def order(self, process: str) -> None:
        """Notify a process that a command for it is stored."""
        self._send(channel_of(process), {"type": "order"})

    def committed(self, runs: Collection[UUID]) -> None:
        """Notify the interested processes that these runs of this process have new events."""
        if not self._interested:
            return
        now = asyncio.get_running_loop().time()
        for run_id in self._interested.keys() & runs:
            channels = self._interested[run_id]
            for channel in [channel for channel, until in channels.items() if until < now]:
                del channels[channel]
            for channel in channels:
                self._send(channel, {"type": "news", "run": str(run_id)})
            if not channels:
                del self._interested[run_id]

    def _send(self, channel: str, message: dict[str, Any]) -> None:
        async def deliver() -> None:
            try:
                await self._layer.send(channel, message)
            except Exception as error:  # noqa: BLE001 - a layer may raise anything, and polling makes up for it
                logger.debug("wakes.unsent", extra={"error": str(error)})

        task = asyncio.get_running_loop().create_task(deliver())
        # The event loop keeps only a weak reference to a task.
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _listen(self) -> None:
        while True:
            try:
                self._receive(await self._layer.receive(self._own))
            except Exception as error:  # noqa: BLE001 - a layer may raise anything, and polling makes up for it
                logger.warning("wakes.unheard", extra={"error": str(error)})
                await asyncio.sleep(PAUSE_SECONDS)

    def _receive(self, message: dict[str, Any]) -> None:
        if message["type"] == "order" and self._on_order:
            self._on_order()
        elif message["type"] == "news" and self._on_news:
            self._on_news(UUID(message["run"]))
        elif message["type"] == "follow":
            until = asyncio.get_running_loop().time() + INTEREST_SECONDS
            self._interested[UUID(message["run"])][message["to"]] = until
