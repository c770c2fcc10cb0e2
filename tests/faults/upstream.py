"""A model service that streams numbered tokens until the client disconnects."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

Json = dict[str, Any]


class Upstream:
    """`open` counts the streams being read. Each has `tokens` tokens, with a `pause` in seconds between them.

    A request whose last message is the user's is answered with the tool calls that `calls` returns, if any.
    """

    def __init__(self) -> None:
        self.url = ""
        self.open = 0
        self.tokens = 20
        self.pause = 0.005
        self.calls: Callable[[str], list[Json]] = lambda _: []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await self._answer(await _request(reader), writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, request: Json, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            async for chunk in self._chunks(request["messages"][-1]):
                data = b"data: %b\n\n" % json.dumps(chunk).encode()
                writer.write(b"%x\r\n%b\r\n" % (len(data), data))
                await writer.drain()
            writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
            await writer.drain()
        finally:
            self.open -= 1

    async def _chunks(self, last: Json) -> AsyncIterator[Json]:
        calls = self.calls(last["content"]) if last["role"] == "user" else []
        if calls:
            yield {"choices": [{"index": 0, "delta": {"tool_calls": calls}}]}
            yield {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
            return
        for number in range(self.tokens):
            yield {"choices": [{"index": 0, "delta": {"content": f"t{number} "}}]}
            await asyncio.sleep(self.pause)
        yield {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


@asynccontextmanager
async def upstream() -> AsyncIterator[Upstream]:
    """Start the service, which listens at its `url`."""
    made = Upstream()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, backlog=4_096)
    async with server:
        made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        yield made


async def _request(reader: asyncio.StreamReader) -> Json:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").lower()
    size = int(head.split("content-length:")[1].split("\r\n")[0])
    request: Json = json.loads(await reader.readexactly(size))
    return request
