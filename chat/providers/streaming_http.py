"""HTTP/1.1 connections to one service, for requests whose answers are streams (RFC 9112).

    BrokenConnection      the connection failed, or its bytes are not HTTP

This is much less than a client library: no redirects and no cookies. Compression is not requested, but undone. A proxy
is used as the variables `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` say, except for this machine.
"""

# A token of a stream costs one callback, one wake-up and no copy, which a client library cannot offer. Requests that
# are not streams use a library.

import asyncio
import ssl
import zlib
from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import httptools
import msgspec

from chat.providers.proxies import Proxy, Tunnel, proxy_for

# Services close idle connections after a longer time, so a request rarely meets a connection that is closing.
IDLE_SECONDS: Final = 15.0
"""Seconds for which a connection is kept for the next request."""

MAX_IDLE: Final = 64
MAX_HEAD_BYTES: Final = 64 * 1_024
MAX_PENDING_BYTES: Final = 256 * 1_024
"""Bytes of an answer that wait to be read before the socket is no longer read."""

MAX_EXPANDED_BYTES: Final = 8 * 2**20
GZIP: Final = b"\x1f"
ANY_FORMAT: Final = 47
"""The `wbits` of zlib for gzip and zlib alike."""


class BrokenConnection(Exception):
    """The connection failed, was cut or could not be opened, or its bytes are not HTTP."""


class Answer:
    """The answer to one request: its head, and its body as it arrives."""

    def __init__(self, connection: "_Connection") -> None:
        self._connection = connection

    @property
    def status(self) -> int:
        return self._connection.response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers by their lower-case names. The last one of a repeated header counts."""
        return self._connection.response.headers

    def read(self) -> Awaitable[bytes]:
        """Return what has arrived since the last call, or nothing at the end. Raise `BrokenConnection`."""
        return self._connection.read()

    async def read_up_to(self, limit: int) -> bytes:
        """Return at most the first `limit` bytes of the body. Raise `BrokenConnection`."""
        parts: list[bytes] = []
        while sum(map(len, parts)) < limit and (part := await self.read()):
            parts.append(part)
        return b"".join(parts)[:limit]

    def close(self) -> None:
        """Release the connection. It is kept if the whole answer has arrived, and closed otherwise."""
        self._connection.release()

    def abort(self) -> None:
        """Close the connection. A pending `read` raises `BrokenConnection`."""
        self._connection.fail("the connection was closed")


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """The way to a service: more certificates to trust than the system's, our own one, or a Unix socket."""

    ca_file: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    unix_socket: Path | None = None


class Connections:
    """Connections to the service at `url`, opened on demand. `headers` are sent with every request."""

    def __init__(
        self, url: str, headers: Mapping[str, str], *, connect_seconds: float, route: Route | None = None
    ) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._tls = parts.scheme == "https"
        self._port = parts.port or (443 if self._tls else 80)
        self._connect_seconds = connect_seconds
        self._route = route or Route()
        self._proxy = None if self._route.unix_socket else proxy_for(parts.scheme, self._host)
        own = {} if self._proxy is None or self._tls else self._proxy.headers
        lines = _lines(parts.netloc.rpartition("@")[2], {**headers, **own})
        target = urlunsplit(("", "", parts.path or "/", parts.query, ""))
        if self._proxy is not None and not self._tls:
            # RFC 9112, section 3.2.2.
            target = url
        self._get = f"GET {target} {lines}\r\n\r\n".encode("latin-1")
        self._post = f"POST {target} {lines}\r\nContent-Length: ".encode("latin-1")
        self._context: ssl.SSLContext | None = None
        self._idle: list[_Connection] = []

    async def get(self) -> Answer:
        """Return the answer to a GET once its head has arrived. Raise `BrokenConnection` and `TimeoutError`."""
        return await self._exchange(self._get)

    async def post(self, body: bytes) -> Answer:
        """Return the answer to a POST once its head has arrived. Raise `BrokenConnection` and `TimeoutError`."""
        return await self._exchange(b"%b%d\r\n\r\n%b" % (self._post, len(body), body))

    async def _exchange(self, request: bytes) -> Answer:
        connection = self._idle.pop() if self._idle else await self._open()
        connection.send(request)
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
        """Keep a connection for another request."""
        if len(self._idle) < MAX_IDLE:
            self._idle.append(connection)
        else:
            connection.fail("too many connections are idle")

    def forget(self, connection: "_Connection") -> None:
        if connection in self._idle:
            self._idle.remove(connection)

    async def _open(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        try:
            if self._tls and self._context is None:
                # This loads the certificates of the system, and would block the event loop.
                self._context = await asyncio.to_thread(_tls_context, self._route)
            async with asyncio.timeout(self._connect_seconds):
                if self._proxy is not None and self._tls:
                    return await self._through(self._proxy)
                connection = _Connection(self)
                if self._route.unix_socket is not None:
                    name = self._host if self._tls else None
                    path = str(self._route.unix_socket)
                    await loop.create_unix_connection(lambda: connection, path, ssl=self._context, server_hostname=name)
                else:
                    host, port = (self._host, self._port) if self._proxy is None else self._proxy.address
                    await loop.create_connection(lambda: connection, host, port, ssl=self._context)
        # A host name that cannot be encoded is a UnicodeError.
        except (OSError, UnicodeError) as error:
            raise BrokenConnection(f"no connection to {self._host}:{self._port} ({error})") from error
        return connection

    async def _through(self, proxy: Proxy) -> "_Connection":
        """Return a connection with TLS through a proxy's tunnel (RFC 9110, section 9.3.6)."""
        loop = asyncio.get_running_loop()
        transport, tunnel = await loop.create_connection(Tunnel, *proxy.address)
        try:
            await tunnel.open(f"{self._host}:{self._port}", proxy.headers)
            connection = _Connection(self)
            context = self._context or ssl.create_default_context()
            secured = await loop.start_tls(transport, connection, context, server_hostname=self._host)
        except BaseException:
            transport.abort()
            raise
        if secured is None:
            raise BrokenConnection("the proxy closed the connection")
        connection.connection_made(secured)
        return connection


class _Response:
    """The response to one request while it is parsed. The parser calls the methods `on_...`."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.parser = httptools.HttpResponseParser(self)
        self.pending: list[bytes] = []
        self.pending_bytes = 0
        self.complete = False
        self.reusable = False
        self._head_bytes = 0
        self._has_body = False
        self._decoder: zlib._Decompress | None = None

    @property
    def ends_with_connection(self) -> bool:
        """True if the end of the connection is the end of the body (RFC 9112, section 6.3)."""
        return "content-length" not in self.headers and "chunked" not in self.headers.get("transfer-encoding", "")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > MAX_HEAD_BYTES:
            raise ValueError(f"a head of more than {MAX_HEAD_BYTES} bytes")
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status = self.parser.get_status_code()
        # An interim response (1xx) precedes the final one (RFC 9110, section 15.2).
        if status >= 200:
            self.status = status
        encoding = self.headers.get("content-encoding", "").strip().lower()
        if encoding in {"gzip", "x-gzip", "deflate"}:
            self._decoder = zlib.decompressobj(ANY_FORMAT)
        elif encoding not in {"", "identity"}:
            raise ValueError(f"the content encoding {encoding[:40]!r}")

    def on_body(self, body: bytes) -> None:
        # Some services compress without saying so. No text begins with the first byte of gzip.
        if self._decoder is None and not self._has_body and body.startswith(GZIP):
            self._decoder = zlib.decompressobj(ANY_FORMAT)
        self._has_body = True
        if self._decoder is not None:
            body = self._decoder.decompress(body, MAX_EXPANDED_BYTES)
            if self._decoder.unconsumed_tail:
                raise ValueError(f"a segment that expands to more than {MAX_EXPANDED_BYTES} bytes")
            if not body:
                return
        self.pending.append(body)
        self.pending_bytes += len(body)

    def on_message_complete(self) -> None:
        if self.status:
            self.complete = True
            self.reusable = self.parser.should_keep_alive()


class _Connection(asyncio.Protocol):
    """One connection, with one request at a time."""

    def __init__(self, owner: Connections) -> None:
        self.response = _Response()
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._error: BrokenConnection | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._paused = False

    def send(self, request: bytes) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
        self.response = _Response()
        self._paused = False
        if self._transport is not None:
            self._transport.write(request)

    async def head(self) -> None:
        """Wait for the head of the response."""
        while not self.response.status:
            await self._changed()

    async def read(self) -> bytes:
        response = self.response
        while not response.pending:
            if response.complete:
                return b""
            await self._changed()
        data = response.pending[0] if len(response.pending) == 1 else b"".join(response.pending)
        response.pending = []
        response.pending_bytes = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return data

    def release(self) -> None:
        if self.response.complete and self._error is None and self.response.reusable:
            self._expiry = self._loop.call_later(IDLE_SECONDS, self.fail, "the connection was idle")
            self._owner.keep(self)
        else:
            self.fail("the connection was closed")

    def fail(self, why: str) -> None:
        """Close the connection. A pending `read` raises `BrokenConnection`."""
        self._error = self._error or BrokenConnection(why)
        self._owner.forget(self)
        if self._expiry is not None:
            self._expiry.cancel()
        if self._transport is not None:
            self._transport.abort()
        self._wake()

    def _changed(self) -> "asyncio.Future[None]":
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        return self._waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream's, as the protocol's type cannot say

    def data_received(self, data: bytes) -> None:
        response = self.response
        try:
            response.parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.fail(f"the service sent an invalid HTTP response ({error})")
            return
        # A reader slower than the service would otherwise fill the memory.
        if response.pending_bytes > MAX_PENDING_BYTES and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        response = self.response
        aborted = self._error is not None
        if exc is None and not aborted and response.status and not response.complete and response.ends_with_connection:
            response.complete = True
        self.fail(str(exc) if exc else "the connection was closed by the service")


def _tls_context(route: Route) -> ssl.SSLContext:
    """Return the TLS settings of a route. `SSL_CERT_FILE` names certificates for all of them, as for every program."""
    context = ssl.create_default_context()
    if route.ca_file is not None:
        context.load_verify_locations(route.ca_file)
    if route.client_certificate is not None:
        context.load_cert_chain(route.client_certificate, route.client_key)
    return context


def _lines(host: str, headers: Mapping[str, str]) -> str:
    """Return a request's head from its version on. Raise `ValueError` for a line break in a header."""
    lines = ["HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in headers.items())]
    # A line break in a key would add headers to the request.
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a header has a line break")
    return "\r\n".join(lines)
