"""The application behind `asgi.py`: request checks, the choice of handler, CORS, startup and shutdown."""

import asyncio
import logging
from typing import Final

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.handlers.asgi import ASGIHandler
from django.db import DatabaseError, connection

from access import authenticator, conf
from access.network.host_check import RequestOrigin, Rules, check, may_share
from chat import service_registry
from chat.api.websocket import ChatConsumer
from orchestrator_site.http import request_limits
from orchestrator_site.http.api_handler import ApiHandler
from orchestrator_site.http.asgi_types import Message, Receive, Scope, Send
from orchestrator_site.http.browser_pages import as_asked, guarded, is_page
from orchestrator_site.http.error_responses import send_response
from storage.schema import migrate
from storage.writer import StorageUnavailable
from telemetry import metrics, tracing
from telemetry.instruments import OTHER
from tools import assembly
from web.errors import ApiError

logger = logging.getLogger(__name__)

SOCKET: Final = "/ws/chat"
FORBIDDEN: Final = 4403
MISSING: Final = 4404

EXPOSED: Final = b"X-Run-Id, X-Session-Id, X-Request-Id, Content-Location, Retry-After, RateLimit, RateLimit-Policy"
"""Response headers that a page of another origin may read."""

PREFLIGHT: Final = (
    (b"access-control-allow-methods", b"GET, POST, PATCH, DELETE"),
    (b"access-control-allow-headers", b"Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-API-Key"),
    (b"access-control-max-age", b"600"),
)


class Application:
    """One ASGI application for HTTP, WebSocket and lifespan."""

    def __init__(self) -> None:
        self._lean = ApiHandler()
        self._socket = ChatConsumer.as_asgi()
        self._pages = ASGIStaticFilesHandler(ASGIHandler())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._http(scope, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A socket can do everything that an unsafe method can, so its origin is checked in the same way.
        tracing.remember_caller(scope["headers"])
        try:
            request_limits.check(scope)
            check(RequestOrigin.of({**scope, "method": "WEBSOCKET"}, scope["headers"]), await _rules())
        except ApiError as refusal:
            metrics.refusals.add(refusal.code)
            await send({"type": "websocket.close", "code": FORBIDDEN})
            return
        if scope["path"] != SOCKET:
            await send({"type": "websocket.close", "code": MISSING})
            return
        await self._socket(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        tracing.remember_caller(scope["headers"])
        rules = await _rules()
        request = RequestOrigin.of(scope, scope["headers"])
        try:
            request_limits.check(scope)
            check(request, rules)
        except ApiError as refusal:
            metrics.requests.add(
                request.method if request.method in metrics.METHODS else OTHER, OTHER, str(refusal.status)
            )
            await send_response(refusal, send)
            return
        if request.origin:
            send = _sharing(request, rules, send)
            if request.method == "OPTIONS":
                await send({"type": "http.response.start", "status": 204, "headers": list(PREFLIGHT)})
                await send({"type": "http.response.body", "body": b""})
                return
        if is_page(scope["path"]):
            await self._pages(as_asked(scope), receive, guarded(scope, send))
        else:
            await self._lean(scope, receive, send)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await _prepare()
            await send({"type": "lifespan.startup.complete"})
        else:
            await service_registry.close()
            await authenticator.close()
            await tracing.close()
            await send({"type": "lifespan.shutdown.complete"})
            return


async def _prepare() -> None:
    """Migrate and open the service. If the database does not answer, each request reports it and tries again."""
    try:
        await asyncio.to_thread(_migrate)
        await asyncio.to_thread(assembly.registry)
        await service_registry.current().open()
    except (DatabaseError, StorageUnavailable) as error:
        logger.warning("database.unavailable", extra={"error": str(error)})


def _migrate() -> None:
    try:
        migrate()
    finally:
        connection.close()


async def _rules() -> Rules:
    # While the database is away it is unknown whether keys exist. The stricter rules for keyless services apply then:
    # only callers on this machine are accepted.
    try:
        return conf.rules(keyed=await authenticator.current().is_keyed())
    except StorageUnavailable:
        return conf.rules(keyed=False)


def _sharing(request: RequestOrigin, rules: Rules, send: Send) -> Send:
    """Add the headers that let a page of an allowed origin read the response.

    Source: https://fetch.spec.whatwg.org/#http-cors-protocol.
    """
    headers = [(b"vary", b"Origin")]
    if may_share(request, rules):
        headers += [
            (b"access-control-allow-origin", request.origin.encode("latin-1")),
            (b"access-control-expose-headers", EXPOSED),
        ]

    async def share(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *headers]}
        await send(message)

    return share
