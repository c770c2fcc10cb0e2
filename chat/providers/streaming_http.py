"""HTTP/1.1 connections to one service, for requests whose answers are streams (RFC 9112).

    BrokenConnection      there is no connection, or it was cut, or what came over it is not HTTP

Much less than a client library: POST alone, no redirects, cookies, proxies or compression. A token of a stream costs
one callback, one wake-up and no copy, which is why it exists; what is not a stream goes through a library.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Mapping
from typing import Final
from urllib.parse import urlsplit

import httptools

IDLE_SECONDS: Final = 15.0
"""How long a connection is kept for the next request: less than services keep it."""

MAX_IDLE: Final = 64
MAX_HEAD_BYTES: Final = 64 * 1_024
MAX_PENDING_BYTES: Final = 256 * 1_024
"""Bytes of an answer that wait to be read before the socket is no longer read."""


class BrokenConnection(Exception):
    """There is no connection, or it was cut, or what came over it is not HTTP."""


class Answer:
    """The answer to one request: its head, and its body as it comes."""

    def __init__(self, connection: "_Connection") -> None:
        self._connection = connection

    @property
    def status(self) -> int:
        return self._connection.status

    @property
    def headers(self) -> Mapping[str, str]:
        """By their names in lower case; of a repeated one the last."""
        return self._connection.headers

    def read(self) -> Awaitable[bytes]:
        """What has arrived since, or nothing where the answer has ended. Raises `BrokenConnection`."""
        return self._connection.read()

    async def read_up_to(self, most: int) -> bytes:
        """The beginning of the body, about `most` bytes of it. Raises `BrokenConnection`."""
        parts: list[bytes] = []
        while sum(map(len, parts)) < most and (part := await self.read()):
            parts.append(part)
        return b"".join(parts)[:most]

    def close(self) -> None:
        """Lets go of the connection: it is kept where the whole answer has arrived, else closed."""
        self._connection.release()

    def abort(self) -> None:
        """Closes the connection; whoever reads gets `BrokenConnection`."""
        self._connection.fail("the connection was closed")


class Connections:
    """Connections to the service of `url`, opened when they are needed. `headers` go with every request."""

    def __init__(self, url: str, headers: Mapping[str, str], *, connect_seconds: float) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._tls = parts.scheme == "https"
        self._port = parts.port or (443 if self._tls else 80)
        self._connect_seconds = connect_seconds
        self._head = _head(parts.netloc.rpartition("@")[2], parts.path, headers)
        self._context: ssl.SSLContext | None = None
        self._idle: list[_Connection] = []

    async def post(self, body: bytes) -> Answer:
        """The answer to a POST, once its head is there. Raises `BrokenConnection` and `TimeoutError`."""
        connection = self._idle.pop() if self._idle else await self._open()
        connection.send(self._head % len(body) + body)
        try:
            await connection.head()
        except BaseException:
            connection.fail("the request was given up")
            raise
        return Answer(connection)

    def close(self) -> None:
        for connection in tuple(self._idle):
            connection.fail("the service is closing")

    def keep(self, connection: "_Connection") -> None:
        """Takes back a connection that another request may use."""
        if len(self._idle) < MAX_IDLE:
            self._idle.append(connection)
        else:
            connection.fail("too many connections are idle")

    def forget(self, connection: "_Connection") -> None:
        if connection in self._idle:
            self._idle.remove(connection)

    async def _open(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        if self._tls and self._context is None:
            self._context = await asyncio.to_thread(ssl.create_default_context)
        try:
            async with asyncio.timeout(self._connect_seconds):
                _, connection = await loop.create_connection(
                    lambda: _Connection(self), self._host, self._port, ssl=self._context
                )
        except OSError as error:
            raise BrokenConnection(f"no connection to {self._host}:{self._port} ({error})") from error
        return connection


class _Connection(asyncio.Protocol):
    """One connection: one request at a time, and the parser's callbacks (`on_...`) as its answer comes."""

    def __init__(self, owner: Connections) -> None:
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._error: BrokenConnection | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._reset()

    def _reset(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self._parser = httptools.HttpResponseParser(self)
        self._head_bytes = 0
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._paused = False
        self._complete = False
        self._reusable = False

    def send(self, request: bytes) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
        self._reset()
        if self._transport is not None:
            self._transport.write(request)

    async def head(self) -> None:
        """Waits for the answer's head."""
        while not self.status:
            await self._news()

    async def read(self) -> bytes:
        while not self._pending:
            if self._complete:
                return b""
            await self._news()
        data = self._pending[0] if len(self._pending) == 1 else b"".join(self._pending)
        self._pending = []
        self._pending_bytes = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return data

    def release(self) -> None:
        if self._complete and self._error is None and self._reusable:
            self._expiry = self._loop.call_later(IDLE_SECONDS, self.fail, "the connection was idle")
            self._owner.keep(self)
        else:
            self.fail("the connection was closed")

    def fail(self, why: str) -> None:
        """Closes the connection, and tells whoever waits."""
        self._error = self._error or BrokenConnection(why)
        self._owner.forget(self)
        if self._expiry is not None:
            self._expiry.cancel()
        if self._transport is not None:
            self._transport.abort()
        self._wake()

    def _news(self) -> "asyncio.Future[None]":
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        return self._waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream's, as the protocol's type cannot say

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.fail(f"what came is not HTTP ({error})")
            return
        if self._pending_bytes > MAX_PENDING_BYTES and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is None and self.status and not self._complete and self._ends_with_connection():
            self._complete = True
        self.fail(str(exc) if exc else "the connection was closed by the service")

    # What the parser calls

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > MAX_HEAD_BYTES:
            raise ValueError(f"a head of more than {MAX_HEAD_BYTES} bytes")
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200:
            self.status = status

    def on_body(self, body: bytes) -> None:
        self._pending.append(body)
        self._pending_bytes += len(body)

    def on_message_complete(self) -> None:
        if self.status:
            self._complete = True
            self._reusable = self._parser.should_keep_alive()

    def _ends_with_connection(self) -> bool:
        return "content-length" not in self.headers and "chunked" not in self.headers.get("transfer-encoding", "")


def _head(host: str, path: str, headers: Mapping[str, str]) -> bytes:
    """The request's head, with a place for its body's length. Raises `ValueError` for a line break in a header."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in headers.items())]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a header has a line break")
    return ("\r\n".join(lines).replace("%", "%%") + "\r\nContent-Length: %d\r\n\r\n").encode("latin-1")
