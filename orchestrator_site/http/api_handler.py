"""The lean way of an API request through Django: its URLs, views and responses, but no thread and no middleware.

Everything that it calls is async. A sync view behind it would hold up every stream of the process.
"""

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from io import BytesIO
from typing import Any, Final

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.base import BaseHandler
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import set_urlconf

from access import authenticator, conf
from access.caller import Caller
from chat.api.sse_response import EventStream
from chat.runs.log.subscription import Subscription
from orchestrator_site.http.asgi_types import Message, Receive, Scope, Send
from orchestrator_site.http.error_responses import django_response
from orchestrator_site.logging import request_id
from telemetry import metrics
from telemetry.instruments import OTHER
from web.errors import CONTENT_TYPE, ApiError
from web.headers import last

logger = logging.getLogger(__name__)

STATUS_ERRORS: Final = {
    404: ("not_found", "There is nothing at this path; GET /openapi.json lists what there is."),
    405: ("method_not_allowed", "This path does not take this method; the Allow header lists those that it takes."),
    500: ("internal", "The service failed by a fault of its own; its log says more."),
}


LAST_SECONDS: Final = 1.0
"""How long a reader has to take the end of a stream whose key was shut."""


class Disconnected(Exception):
    """The client went away before its request was complete."""


class ApiHandler(ASGIHandler):
    """Answers HTTP requests of async views."""

    def load_middleware(self, is_async: bool = False) -> None:
        """None but Django's own: a view's exception becomes a response."""
        self._view_middleware: list[Any] = []
        self._template_response_middleware: list[Any] = []
        self._exception_middleware: list[Any] = []
        respond: Any = BaseHandler._get_response_async  # type: ignore[attr-defined]  # private, and the one way in
        self._middleware_chain = convert_exception_to_response(respond.__get__(self))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        request_id.set(uuid.uuid4().hex)
        try:
            response, request = await self._respond(scope, receive)
        except Disconnected:
            return
        response["X-Request-Id"] = request_id.get()
        response["X-Content-Type-Options"] = "nosniff"
        metrics.request(scope["method"], _route(request), response.status_code, time.perf_counter() - started)
        caller = getattr(request, "auth", None)
        status, closers = response.status_code, _closers(response)
        try:
            if isinstance(response, StreamingHttpResponse):
                parts = response.frames if isinstance(response, EventStream) else aiter(response)
                sending = _Streaming(parts, caller).send(_head(response), receive, send)
                del request, response  # a stream is long, and needs nothing of them: some KB each
                await sending
            else:
                await self.send_response(response, send)
        finally:
            for close in closers:
                close()
            _report(scope, status, time.perf_counter() - started)

    async def _respond(self, scope: Scope, receive: Receive) -> tuple[HttpResponseBase, HttpRequest | None]:
        """The response, and the request, where it could be read."""
        try:
            body = await _body(scope, receive, conf.max_body_bytes())
        except ApiError as refusal:
            return django_response(refusal), None
        set_urlconf(None)
        request, error = self.create_request(dict(scope), BytesIO(body))
        if request is None:
            return django_response(
                ApiError(400, "bad_request", f"The request is malformed ({error}).".replace("\n", " "))
            ), None
        chain: Any = self._middleware_chain
        response: HttpResponseBase = await chain(request)
        return _as_json(response), request


class _Streaming:
    """The body of a response while it is sent: until it ends, the client has gone, or the caller's key is shut."""

    def __init__(self, parts: AsyncIterator[bytes], caller: Caller | None) -> None:
        self._parts = parts
        self._key = caller.key if caller else None
        self._task = asyncio.current_task()
        self._is_shut = False

    async def send(self, head: Message, receive: Receive, send: Send) -> None:
        watching = asyncio.create_task(self._watch(receive))
        release = authenticator.current().revocations.on_revoked(self._key, self._shut)
        try:
            await send(head)
            del head
            async for part in self._parts:
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except asyncio.CancelledError:
            events = self._parts if isinstance(self._parts, Subscription) else None
            if not (watching.done() or self._is_shut or (events and events.dropped)):
                raise
            if self._is_shut and events:
                await _end(send)
        finally:
            release()
            watching.cancel()

    async def _watch(self, receive: Receive) -> None:
        """Stops the sending when the client has gone."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self._stop()

    def _shut(self, _: ApiError) -> None:
        self._is_shut = True
        self._stop()

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()


def _route(request: HttpRequest | None) -> str:
    """The pattern of the service's own that the path has."""
    found = request.resolver_match if request is not None else None
    return f"/{found.route}" if found is not None else OTHER


def _closers(response: HttpResponseBase) -> Sequence[Callable[[], None]]:
    """All that Django's `close` does, but for a signal that is about connections which are not held here."""
    closers: list[Callable[[], None]] = response._resource_closers  # type: ignore[attr-defined]  # private
    return closers


def _head(response: HttpResponseBase) -> Message:
    """What Django's `send_response` sends before a body."""
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in response.items()]
    return {"type": "http.response.start", "status": response.status_code, "headers": headers}


async def _end(send: Send) -> None:
    """The end of a body, unless the reader takes nothing."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LAST_SECONDS):
            await send({"type": "http.response.body", "body": b""})


async def _body(scope: Scope, receive: Receive, most: int) -> bytes:
    declared = last(scope["headers"], b"content-length")
    if declared.isdigit() and int(declared) > most:
        raise _too_large(most)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            raise _too_large(most)
        if not message.get("more_body", False):
            return b"".join(parts)


def _too_large(most: int) -> ApiError:
    error = f"The body is larger than MAX_BODY_BYTES ({most} bytes)."
    return ApiError(413, "body_too_large", error, headers={"Connection": "close"})


def _as_json(response: HttpResponseBase) -> HttpResponseBase:
    """Django's own error pages, in the service's one shape."""
    if response.status_code not in STATUS_ERRORS or response.headers.get("Content-Type") == CONTENT_TYPE:
        return response
    code, error = STATUS_ERRORS[response.status_code]
    headers = {"Allow": response.headers["Allow"]} if "Allow" in response.headers else {}
    return django_response(ApiError(response.status_code, code, error, headers=headers))


def _report(scope: Mapping[str, Any], status: int, seconds: float) -> None:
    logger.info(
        "request",
        extra={"method": scope["method"], "path": scope["path"], "status": status, "ms": round(seconds * 1_000, 1)},
    )
