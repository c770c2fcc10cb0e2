"""Answers on their way from the threads that generate them to the event loop that reads them."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from chat.engine.model_port import CompletionEvent, Text
from chat.providers.local.chunks import Reader

if TYPE_CHECKING:
    import xllamacpp


class Answer:
    """The answer to one request, whose `body` is JSON. It is made in the event loop that reads it."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._loop = asyncio.get_running_loop()
        self._arrived: deque[bytes | Exception | None] = deque()
        self._news = asyncio.Event()
        self.stopped = False

    def stop(self) -> None:
        """Ends the reading at once, and the generating at its next token or at the next batch of the prompt."""
        self.stopped = True
        self._put(None)

    def generate(self, server: "xllamacpp.Server") -> None:
        """Runs in a thread of its own until the answer is whole or stopped."""
        try:
            if not self.stopped:
                server.handle_chat_completions(self._body, self._take)
        except (RuntimeError, ValueError) as error:  # what the binding raises
            self._put(error)
        self._put(None)

    async def events(self) -> AsyncGenerator[CompletionEvent]:
        """All that has arrived since the last look goes into one `Text`. Raises `ProviderError`."""
        reader = Reader()
        while not reader.done:
            await self._news.wait()
            self._news.clear()
            while self._arrived:
                reader.take(self._arrived.popleft())
            if pieces := reader.new_pieces():
                yield Text(pieces)
        for event in reader.end():
            yield event

    def _take(self, chunk: bytes) -> bool:
        self._put(chunk)
        return self.stopped

    def _put(self, item: bytes | Exception | None) -> None:
        self._arrived.append(item)
        self._loop.call_soon_threadsafe(self._news.set)
