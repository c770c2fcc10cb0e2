"""The task that runs a tool, and the tool's live output."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from spending.accounts import Payer
from tools.base import Execution, Memory, Output, OutputStream, Permits, Record, Tool, ToolSpec

MAX_PENDING: Final = 64
"""Pieces of live output that may be pending; at this number the tool waits."""


class ToolTask:
    """A running tool. Read `output` to its end, then `result`; or call `stop`."""

    def __init__(
        self,
        tool: Tool,
        params: msgspec.Struct,
        payer: Payer,
        *,
        permits: Permits | None = None,
        record: Record | None = None,
        preview: Any = None,
        memory: Memory | None = None,
        offered: tuple[ToolSpec, ...] = (),
    ) -> None:
        self._pieces: deque[Output] = deque()
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        execution = Execution(
            payer=payer,
            emit=self._emit,
            permits=permits,
            record=record,
            preview=preview,
            memory=memory,
            offered=offered,
        )
        self._task: asyncio.Future[Any] = asyncio.ensure_future(tool.run(params, execution))
        # A tool that prints nothing must still wake the reader when it ends.
        self._task.add_done_callback(lambda _: self._news.set())

    async def output(self) -> AsyncIterator[Output]:
        """Yield live output until the tool has ended."""
        ended = False
        while not ended:
            await self._news.wait()
            self._news.clear()
            # Asked before the pieces are taken: the last ones may come between the two.
            ended = self._task.done()
            while self._pieces:
                yield self._pieces.popleft()
                self._room.set()

    async def result(self) -> Any:
        """Return the tool's result, or raise the error that it raised."""
        return await self._task

    async def stop(self) -> None:
        """Cancel the tool, and wait until its cleanup is done."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([self._task])

    async def _emit(self, stream: OutputStream, text: str) -> None:
        while len(self._pieces) >= MAX_PENDING:
            self._room.clear()
            await self._room.wait()
        self._pieces.append(Output(stream=stream, text=text))
        self._news.set()
