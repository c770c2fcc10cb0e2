"""A tool at work: its task, and what it says meanwhile."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from spending.accounts import Payer
from tools.base import Execution, Output, OutputStream, Tool

MAX_PENDING: Final = 64
"""Pieces of live output that wait for somebody to take them; beyond that the tool waits."""


class ToolTask:
    """Starts the tool. Call `output` to its end, then `result`; or `stop`."""

    def __init__(self, tool: Tool, params: msgspec.Struct, payer: Payer) -> None:
        self._pieces: deque[Output] = deque()
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        execution = Execution(payer=payer, emit=self._emit)
        self._task: asyncio.Future[Any] = asyncio.ensure_future(tool.run(params, execution))
        self._task.add_done_callback(lambda _: self._news.set())

    async def output(self) -> AsyncIterator[Output]:
        """Live output as it comes, until the tool has ended."""
        ended = False
        while not ended:
            await self._news.wait()
            self._news.clear()
            ended = self._task.done()
            while self._pieces:
                yield self._pieces.popleft()
                self._room.set()

    async def result(self) -> Any:
        """What the tool returned. Raises what it raised."""
        return await self._task

    async def stop(self) -> None:
        """Cancels the tool, and waits until it has let go."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([self._task])

    async def _emit(self, stream: OutputStream, text: str) -> None:
        while len(self._pieces) >= MAX_PENDING:
            self._room.clear()
            await self._room.wait()
        self._pieces.append(Output(stream=stream, text=text))
        self._news.set()
