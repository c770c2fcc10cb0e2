"""The transfer of an answer from the thread that generates it to the event loop that reads it."""

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
        """Stop reading at once, and generating at the next token or the next batch of the prompt."""
        self.stopped = True
        self._put(None)

    def generate(self, server: "xllamacpp.Server") -> None:
        """Generate the answer in the calling thread until it is complete or stopped."""

        def take(chunk: bytes) -> bool:
            self._put(chunk)
            # llama.cpp stops generating when the callback returns True.
            return self.stopped

        try:
            if not self.stopped:
                server.handle_chat_completions(self._body, take)
        # The exceptions of the binding.
        except (RuntimeError, ValueError) as error:
            self._put(error)
        self._put(None)

    async def events(self) -> AsyncGenerator[CompletionEvent]:
        """Yield the events of the answer. Everything that arrived together is one `Text`. Raise `ProviderError`."""
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

    def _put(self, item: bytes | Exception | None) -> None:
        self._arrived.append(item)
        self._loop.call_soon_threadsafe(self._news.set)
