"""The HTTP transport to one MCP server: bounded answers, no redirects, no proxy; it knows whether a call was sent."""

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx2

CLOSE_SECONDS: Final = 2.0
"""The time of the request that ends a session."""

NOT_FOUND: Final = 404
UNSENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)
SESSION: Final = "mcp-session-id"


class AnswerRefused(httpx2.TransportError):
    """An answer of a server is not accepted. The message says why."""


class TooLarge(AnswerRefused):
    """An answer has more bytes than are allowed."""


class HttpTransport(httpx2.AsyncHTTPTransport):
    """Sends the requests of one connection, on which one call at a time is made.

    `call_sent` is whether the server may have received the call, and `status` the HTTP status of the newest POST. The
    `problem` is that of an answer that was not accepted. The session has ended if the server no longer knows it.
    """

    def __init__(self, max_bytes: int) -> None:
        super().__init__(trust_env=False)
        self._max_bytes = max_bytes
        self.call_sent = False
        self.session_ended = False
        self.status: int | None = None
        self.problem: AnswerRefused | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        # Requests are ours, so they are small and valid JSON.
        is_call = request.method == "POST" and json.loads(request.content).get("method") == "tools/call"
        if request.method == "DELETE":
            # A server that hangs must not delay the end of a call that was cancelled.
            limits = dict.fromkeys(("connect", "read", "write", "pool"), CLOSE_SECONDS)
            request.extensions = {**request.extensions, "timeout": limits}
        # Compressed answers could be far larger than the bytes that are counted.
        request.headers["Accept-Encoding"] = "identity"
        # Set before the bytes leave: a failure in between counts as sent.
        self.call_sent = self.call_sent or is_call
        try:
            response = await super().handle_async_request(request)
        except UNSENT:
            if is_call:
                self.call_sent = False
            raise
        if request.method == "POST":
            self.status = response.status_code
        if response.status_code == NOT_FOUND and SESSION in request.headers:
            # The protocol requires this answer for a session that the server does not know: nothing was run.
            self.session_ended = True
            self.call_sent = self.call_sent and not is_call
        why = ""
        if response.has_redirect_location:
            why = "it redirects, and redirects are not followed"
        elif response.headers.get("content-encoding", "identity").lower() != "identity":
            why = "its answer is compressed although that was not asked for"
        if why:
            await response.aclose()
            self.problem = AnswerRefused(why)
            raise self.problem
        response.stream = _Bounded(response.stream, self)
        return response

    def too_large(self) -> TooLarge:
        """Return the error about an answer that is too large, and keep it."""
        problem = TooLarge(f"its answer has more than {self._max_bytes} bytes (max_result_bytes)")
        self.problem = problem
        return problem

    @property
    def max_bytes(self) -> int:
        return self._max_bytes


class _Bounded(httpx2.AsyncByteStream):
    """The body of an answer, which fails after a number of bytes."""

    def __init__(self, stream: Any, transport: HttpTransport) -> None:
        self._stream = stream
        self._transport = transport

    async def __aiter__(self) -> AsyncIterator[bytes]:
        received = 0
        async for chunk in self._stream:
            received += len(chunk)
            # Counted here, before the library collects an answer as a whole.
            if received > self._transport.max_bytes:
                raise self._transport.too_large()
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
