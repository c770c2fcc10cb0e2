"""The path of an API request through Django: its URLs, views and responses, without threads and middleware.

Every view behind it is async. A sync view would block every stream of the process.
"""

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable
from functools import partial
from io import BytesIO
from typing import Any, Final

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.base import BaseHandler
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix, set_urlconf

from access import authenticator
from access.authenticator import ClientInfo
from access.caller import Caller
from chat.api.errors import REFUSALS
from chat.api.run_responses import EventStream
from chat.runs.log.subscription import Subscription
from orchestrator_site.http.asgi_types import Message, Receive, Scope, Send
from orchestrator_site.http.error_responses import django_response
from orchestrator_site.http.request_body import Disconnected, largest_body, read_body
from orchestrator_site.http.root_path import inner_path
from orchestrator_site.logging import request_id
from storage.writer import StorageUnavailable
from telemetry import metrics
from telemetry.instruments import OTHER
from tools.mcp_server.resource import challenge_of
from web.errors import CONTENT_TYPE, ApiError

logger = logging.getLogger(__name__)

STATUS_ERRORS: Final = {
    400: ("bad_request", "The request is malformed: it has more than 1,000 fields, or one that cannot be read."),
    404: ("not_found", "Not found. GET /openapi.json lists all endpoints."),
    405: ("method_not_allowed", "Method not allowed. The Allow header lists the allowed methods."),
    500: ("internal", "Internal error. The service's log has the details."),
}


UNAUTHORIZED: Final = 401
MCP: Final = "/mcp"
"""The path whose 401 names the URL of the resource's metadata."""

LAST_SECONDS: Final = 1.0
"""Seconds that a reader has to receive the end of a stream whose key was revoked."""


class ApiHandler(ASGIHandler):
    """Answers HTTP requests with async views."""

    def load_middleware(self, is_async: bool = False) -> None:
        """Load no middleware except Django's own conversion of exceptions to responses."""
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
        if response.status_code == UNAUTHORIZED and inner_path(scope) == MCP:
            # A body of which nothing was read has no request yet.
            asked = request or self.create_request(dict(scope), BytesIO())[0]
            response["WWW-Authenticate"] = challenge_of(asked) if asked else "Bearer"
        response["X-Request-Id"] = request_id.get()
        response["X-Content-Type-Options"] = "nosniff"
        # A pattern of the service's URLs: paths would give the metric as many labels as callers can think of.
        match = request.resolver_match if request is not None else None
        route = f"/{match.route}" if match is not None else OTHER
        metrics.request(scope["method"], route, response.status_code, time.perf_counter() - started)
        caller = getattr(request, "auth", None)
        # Django's `close` would also send a signal that closes database connections, and none is held here.
        closers: list[Callable[[], None]] = response._resource_closers  # type: ignore[attr-defined]  # private
        line = _log_line(scope, response, caller)
        try:
            if isinstance(response, StreamingHttpResponse):
                parts = response.frames if isinstance(response, EventStream) else aiter(response)
                headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in response.items()]
                head = {"type": "http.response.start", "status": response.status_code, "headers": headers}
                sending = _Streaming(parts, caller).send(head, receive, send)
                # A stream is long and needs none of them, at some KB each.
                del request, response, match, headers, head
                await sending
            else:
                # Otherwise the server would send it in chunks.
                response["Content-Length"] = str(len(response.content))  # type: ignore[attr-defined]  # it has a body
                await self.send_response(response, send)
        finally:
            for close in closers:
                close()
            line["ms"] = round((time.perf_counter() - started) * 1_000, 1)
            logger.info("request", extra=line)

    async def _respond(self, scope: Scope, receive: Receive) -> tuple[HttpResponseBase, HttpRequest | None]:
        """Return the response, and the request if it could be read."""
        if root := scope.get("root_path"):
            set_script_prefix(f"{root}/")
        try:
            body = await read_body(scope, receive, largest_body(inner_path(scope)), partial(_identify, scope))
        except ApiError as refusal:
            return django_response(refusal), None
        set_urlconf(None)
        request, problem = self.create_request(dict(scope), BytesIO(body))
        if request is None:
            return django_response(
                ApiError(400, "bad_request", f"The request is malformed ({problem}).".replace("\n", " "))
            ), None
        chain: Any = self._middleware_chain
        response: HttpResponseBase = await chain(request)
        if response.status_code not in STATUS_ERRORS or response.headers.get("Content-Type") == CONTENT_TYPE:
            return response, request
        # One of Django's own error pages, which are HTML.
        code, error = STATUS_ERRORS[response.status_code]
        # A 405 must list the allowed methods (RFC 9110, section 15.5.6).
        headers = {"Allow": response.headers["Allow"]} if "Allow" in response.headers else {}
        return django_response(ApiError(response.status_code, code, error, headers=headers)), request


class _Streaming:
    """A streamed body on its way: it ends early when the client leaves or the caller's key is revoked."""

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
            # Any other cancellation comes from outside, such as the server's shutdown, and is passed on.
            if not (watching.done() or self._is_shut or (events and events.dropped)):
                raise
            if self._is_shut and events:
                # The reader may accept nothing any more.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LAST_SECONDS):
                        await send({"type": "http.response.body", "body": b""})
        finally:
            release()
            watching.cancel()

    async def _watch(self, receive: Receive) -> None:
        """Stop the stream when the client leaves."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self._stop()

    def _shut(self, _: ApiError) -> None:
        self._is_shut = True
        self._stop()

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()


async def _identify(scope: Scope) -> None:
    """Identify the caller by the headers. Raises `ApiError`."""
    try:
        await authenticator.current().identify(ClientInfo.of(scope))
    except StorageUnavailable as error:
        raise REFUSALS[StorageUnavailable](error) from error


def _log_line(scope: Scope, response: HttpResponseBase, caller: Caller | None) -> dict[str, Any]:
    """Return the fields of the request's log line. A key is shown by its start, and a run if the answer names one."""
    line: dict[str, Any] = {
        "method": scope["method"],
        "path": scope["path"],
        "status": response.status_code,
        "client": ClientInfo.of(scope).client,
    }
    if caller is not None:
        line["key"] = caller.label
    if run := response.headers.get("X-Run-Id"):
        line["run"] = run
    return line
