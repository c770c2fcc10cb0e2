"""The HTTP transport to one MCP server: bounded answers, no redirects, no proxy; it knows whether a call was sent."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx2
from mcp.client.streamable_http import streamable_http_client

from tools.mcp_client.servers import McpServer
from tools.mcp_client.transports.delivery import AnswerRefused, Delivery, TooLarge, delivery, is_call

CLOSE_SECONDS: Final = 2.0
"""The time of the request that ends a session."""

STREAM_SECONDS: Final = 1.0
"""The time between two requests for a stream of the server."""

NOT_FOUND: Final = 404
UNSENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)
SESSION: Final = "mcp-session-id"


class HttpTransport:
    """The transport of one session. Its `problem` is always None: each call has its own (see `Delivery`)."""

    problem: AnswerRefused | None = None

    def __init__(self, server: McpServer) -> None:
        self._server = server

    @asynccontextmanager
    async def streams(self) -> AsyncIterator[Any]:
        """Open the streams of messages, in the form of the SDK."""
        server = self._server
        seconds = server.connect_seconds
        timeout = httpx2.Timeout(connect=seconds, write=seconds, pool=seconds, read=server.total_seconds)
        requests = _Requests(server.max_result_bytes)
        async with (
            httpx2.AsyncClient(headers=server.headers, transport=requests, timeout=timeout, trust_env=False) as http,
            # The transport bounds each answer, so also an event.
            streamable_http_client(server.url, http_client=http, max_sse_event_size=None) as streams,
        ):
            yield streams


class _Requests(httpx2.AsyncHTTPTransport):
    """Sends the requests of one session, and notes what became of each call."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(trust_env=False)
        self._max_bytes = max_bytes
        self._next_stream = 0.0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        call = delivery()
        # Requests are ours, so they are small and valid JSON.
        is_sent = request.method == "POST" and is_call(json.loads(request.content))
        if request.method == "DELETE":
            # A server that hangs must not delay the end of a session.
            limits = dict.fromkeys(("connect", "read", "write", "pool"), CLOSE_SECONDS)
            request.extensions = {**request.extensions, "timeout": limits}
        elif request.method == "GET":
            # A server says how soon the SDK asks for its stream again, which may be at once and for ever.
            now = time.monotonic()
            self._next_stream = max(now, self._next_stream) + STREAM_SECONDS
            await asyncio.sleep(self._next_stream - STREAM_SECONDS - now)
        # Compressed answers could be far larger than the bytes that are counted.
        request.headers["Accept-Encoding"] = "identity"
        # Set before the bytes leave: a failure in between counts as sent.
        call.sent = call.sent or is_sent
        try:
            response = await super().handle_async_request(request)
        except UNSENT:
            if is_sent:
                call.sent = False
            raise
        if request.method == "POST":
            call.status = response.status_code
        if response.status_code == NOT_FOUND and SESSION in request.headers:
            # The protocol requires this answer for a session that the server does not know: nothing was run.
            call.session_ended = True
            call.sent = call.sent and not is_sent
        why = ""
        if response.has_redirect_location:
            why = "it redirects, and redirects are not followed"
        elif response.headers.get("content-encoding", "identity").lower() != "identity":
            why = "its answer is compressed although that was not asked for"
        if why:
            await response.aclose()
            call.problem = AnswerRefused(why)
            raise _refused(call.problem)
        response.stream = _Bounded(response.stream, self._max_bytes, call)
        return response


class _Bounded(httpx2.AsyncByteStream):
    """The body of an answer, which fails after a number of bytes."""

    def __init__(self, stream: Any, max_bytes: int, call: Delivery) -> None:
        self._stream = stream
        self._max_bytes = max_bytes
        self._call = call

    async def __aiter__(self) -> AsyncIterator[bytes]:
        received = 0
        async for chunk in self._stream:
            received += len(chunk)
            # Counted here, before the library collects an answer as a whole.
            if received > self._max_bytes:
                self._call.problem = TooLarge(f"its answer has more than {self._max_bytes} bytes (max_result_bytes)")
                raise _refused(self._call.problem)
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


def _refused(problem: AnswerRefused) -> httpx2.TransportError:
    # Of the library's kind: it takes other errors for its own faults, and logs them.
    return httpx2.TransportError(str(problem))
