"""The runs that one socket follows."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final
from uuid import UUID

from chat import service_registry
from chat.runs.log.subscription import Subscription
from chat.wire import sse
from web.errors import ApiError

MAX_RUNS: Final = 32
"""Runs that one socket follows at the same time."""


class FollowedRuns:
    """The runs that one socket follows, each in a task that passes its events to `send`.

    If the reader stalls, `drop` is called.
    """

    def __init__(self, send: Callable[[bytes], Awaitable[None]], drop: Callable[[], Awaitable[None]]) -> None:
        self._send = send
        self._drop = drop
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopped = False

    def check_room(self) -> None:
        """Raise `ApiError` (429) if the socket follows its maximum of runs."""
        if len(self._tasks) >= MAX_RUNS:
            raise ApiError(429, "too_many_runs", f"A socket can follow {MAX_RUNS} runs. Open another socket.")

    def follow(self, run_id: UUID, owner: str, cursor: int, *, hides_reasoning: bool) -> None:
        """Send the run's events after number `cursor`. Raise `ApiError` (429)."""
        self.check_room()
        subscription = service_registry.current().follow(run_id, owner, cursor, hides_reasoning=hides_reasoning)
        task = asyncio.get_running_loop().create_task(self._send_events(run_id, subscription))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # A task that is cancelled before its first step never runs its own `finally`.
        task.add_done_callback(lambda _: subscription.close())
        if self._is_stopped:
            task.cancel()

    def stop(self) -> None:
        """Stop following all runs. The runs continue without the socket, like after any disconnect."""
        self._is_stopped = True
        for task in self._tasks:
            task.cancel()

    async def _send_events(self, run_id: UUID, subscription: Subscription) -> None:
        head = b'"run":"%b",' % str(run_id).encode()
        try:
            async for frames in subscription:
                for block in frames.split(sse.END_OF_FRAME):
                    # The event is already JSON: its number and its run are inserted without decoding it.
                    if block.startswith(b"id: "):
                        number, _, data = block[4:].partition(b"\ndata: {")
                        await self._send(b'{"id":%b,' % number + head + data)
        finally:
            if subscription.dropped:
                with suppress(Exception):
                    await self._drop()
