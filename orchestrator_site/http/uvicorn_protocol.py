"""uvicorn's HTTP/1.1 protocol with deadlines and bounds for each connection, and errors in the shape of the API's.

A connection has one request at a time (RFC 9112, section 9.3.2). What a client sends ahead waits unparsed, and no more
of it is read.
"""

from asyncio import TimerHandle, Transport, get_running_loop
from contextlib import suppress
from typing import Any, Final, TypeGuard

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from access.network.host_check import CONNECTION
from orchestrator_site import conf
from orchestrator_site.http.asgi_types import Application, Message
from orchestrator_site.http.deadlines import Deadlines
from orchestrator_site.http.error_responses import raw_response
from orchestrator_site.http.request_limits import MAX_HEAD_BYTES, MAX_URL_BYTES, check_size, too_large
from web.errors import ApiError

# Bytes in a row that complete neither a head nor a part of a body. The parser keeps them in memory.
MAX_UNREAD: Final = 2 * (MAX_URL_BYTES + MAX_HEAD_BYTES)

LATE: Final = ApiError(408, "request_timeout", "The request did not arrive in time.")

SLICE_BYTES: Final = 2_048
"""Bytes that are parsed at once. Only requests within one slice are parsed ahead."""

CHECKS: Final = 4
"""Checks of a connection within its shortest time limit."""

LINGER_SECONDS: Final = 5.0
"""Seconds in which a peer may end a request that was answered early."""


class HttpProtocol(HttpToolsProtocol):
    """One connection."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        self._closing = _LingeringTransport(transport, self)
        super().connection_made(self._closing)  # type: ignore[arg-type]  # it has all methods of one
        self.app_state = {**self.app_state, CONNECTION: {}}
        self.flow = self._flow = _Flow(transport)
        limits = conf.connection_limits()
        self._deadlines = Deadlines(limits, self.loop.time())
        self._check_seconds = min(limits.head_seconds, limits.body_seconds, limits.unread_seconds) / CHECKS
        self._check_timer = self.loop.call_later(self._check_seconds, self._check)
        self._unread = 0
        self._ahead = memoryview(b"")
        self._active: RequestResponseCycle | None = None
        self._is_refused = self.in_message = False
        if len(self.connections) > limits.connections:
            error = f"The process has MAX_CONNECTIONS ({limits.connections}) connections already. Retry in 5 s."
            self._refuse(ApiError(503, "overloaded", error, headers={"Retry-After": "5"}))

    def connection_lost(self, exc: Exception | None) -> None:
        self._check_timer.cancel()
        self._closing.forget()
        self._ahead = memoryview(b"")
        self.pipeline.clear()
        super().connection_lost(exc)
        # uvicorn notifies only the request that it parsed last, which need not be the one that is answered.
        if _is_active(self._active):
            self._active.disconnected = True
            self._active.message_event.set()

    def data_received(self, data: bytes) -> None:
        # Some clients end a body with an empty line (RFC 9112, section 2.2).
        if self._is_refused or self._closing.lingers or (_is_answering(self._active) and not data.strip(b"\r\n")):
            return
        if self.timeout_keep_alive_task is not None:
            # The connection was idle.
            self._deadlines.begin_head(self.loop.time())
        self._ahead = memoryview(bytes(self._ahead) + data) if self._ahead else memoryview(data)
        self._parse()

    def _parse(self) -> None:
        """Parse the received bytes, up to the end of a request."""
        while self._ahead and not _is_answering(self._active) and not self._is_refused:
            piece, self._ahead = self._ahead[:SLICE_BYTES], self._ahead[SLICE_BYTES:]
            self._unread += len(piece)
            super().data_received(bytes(piece))
            if self.transport.get_protocol() is not self:
                # It is a WebSocket now, which no timer of HTTP may close.
                self._check_timer.cancel()
                self._unset_keepalive_if_required()
                return
            if self._unread > MAX_UNREAD and not self.transport.is_closing():
                self._refuse(too_large())
        self._flow.is_ahead = bool(self._ahead) and not self._is_refused
        if self._flow.is_ahead:
            self.flow.pause_reading()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if self.in_message or self._ahead:
            # It is not idle: a head or the rest of a body is on its way, with the time of a head to arrive.
            self._unset_keepalive_if_required()
            self._deadlines.begin_head(self.loop.time())
        self._parse()
        self.flow.resume_reading()

    def on_message_begin(self) -> None:
        self.in_message = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._unread = 0
        self._deadlines.begin_body(self.loop.time())
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unread = 0
        self._deadlines.add_body(len(body), self.loop.time())
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unread = 0
        self.in_message = False
        super().on_message_complete()
        if not _is_active(self._active) and self.timeout_keep_alive_task is None and not self.transport.is_closing():
            # The body came after its answer, and now the connection is idle.
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def resume_writing(self) -> None:
        self._deadlines.note_sent(self.loop.time())
        super().resume_writing()

    def handle_websocket_upgrade(self) -> None:
        """Reject oversized heads."""
        # The WebSocket protocol, which reads the head again, would not answer them.
        try:
            check_size(len(self.url), self.headers)
        except ApiError as refusal:
            self._refuse(refusal)
        else:
            super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        self._refuse(ApiError(400, "bad_request", msg))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._active = cycle
        super()._start_asgi_task(cycle, _unframed(cycle, app) if cycle.scope["http_version"] == "1.0" else app)

    def _check(self) -> None:
        """Close the connection if a time limit has passed."""
        now = self.loop.time()
        self._check_timer = self.loop.call_later(self._check_seconds, self._check)
        self._deadlines.note_unsent(self.transport.get_write_buffer_size(), now)
        if self._deadlines.is_unread(now):
            # A close would wait for the peer to read.
            self.transport.abort()
        elif self.transport.is_closing() or self._is_refused:
            return
        elif _is_answering(self._active) or self.flow.read_paused:
            self._deadlines.wait_for_service(now)
        elif _is_active(self._active):
            if self._deadlines.is_body_late(now):
                self._refuse(LATE)
        # Between two requests uvicorn's own timer runs.
        elif self.timeout_keep_alive_task is None and self._deadlines.is_head_late(now):
            self._refuse(LATE)

    def _refuse(self, refusal: ApiError) -> None:
        """Answer with the error and close, once the request before it is answered."""
        self._is_refused = True
        self._ahead = memoryview(b"")
        if _is_answering(self._active):
            self._active.keep_alive = False
            return
        # A request whose body is not complete may have its answer already.
        if self._active is None or not (self._active.response_started and self._active.more_body):
            self.transport.write(raw_response(refusal))
        self.transport.close()


class _LingeringTransport:
    """A transport that is closed in two steps if its peer is still sending a request (RFC 9112, section 9.6).

    Closed at once, it would be reset at the next bytes of the peer, which could lose the answer. So first only the
    sending side is closed, and bytes are discarded until the peer closes, for at most `LINGER_SECONDS`. The second call
    of `close` closes it at once.
    """

    def __init__(self, transport: Transport, connection: HttpProtocol) -> None:
        self._transport = transport
        self._connection = connection
        self._timer: TimerHandle | None = None
        self.write = transport.write
        self.lingers = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self.lingers or self._transport.is_closing()

    def close(self) -> None:
        if self.is_closing() or not self._connection.in_message:
            self._transport.close()
            return
        self.lingers = True
        self._timer = get_running_loop().call_later(LINGER_SECONDS, self._transport.close)
        # The peer may be gone already.
        with suppress(OSError):
            self._transport.write_eof()
            self._transport.resume_reading()

    def forget(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


class _Flow(FlowControl):
    """Reads nothing while received bytes wait to be parsed."""

    is_ahead = False

    def resume_reading(self) -> None:
        # uvicorn resumes whenever a request asks for its body, and after each answer.
        if not self.is_ahead:
            super().resume_reading()


def _is_active(cycle: RequestResponseCycle | None) -> TypeGuard[RequestResponseCycle]:
    """Return whether a request is being read or answered."""
    return cycle is not None and not cycle.response_complete


def _is_answering(cycle: RequestResponseCycle | None) -> TypeGuard[RequestResponseCycle]:
    """Return whether a request was read to its end, and is not answered yet."""
    return cycle is not None and not cycle.response_complete and not cycle.more_body


def _unframed(cycle: RequestResponseCycle, app: Application) -> Application:
    """Return the application with bodies that end with the connection: HTTP/1.0 has no chunks (RFC 9112, 6.1)."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        async def send_unframed(message: Message) -> None:
            if message["type"] == "http.response.start":
                if not any(name.lower() == b"content-length" for name, _ in message["headers"]):
                    cycle.chunked_encoding = False
            elif not cycle.chunked_encoding and cycle.expected_content_length == 0:
                cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await app(scope, receive, send_unframed)

    return answer
