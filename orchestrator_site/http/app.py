"""The application behind `asgi.py`: request checks, the choice of handler, CORS, startup and shutdown."""

from typing import Final

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.handlers.asgi import ASGIHandler

from access import authenticator
from access.network.host_check import RequestOrigin, check
from orchestrator_site.http import request_limits
from orchestrator_site.http.api_handler import ApiHandler
from orchestrator_site.http.asgi_types import Receive, Scope, Send
from orchestrator_site.http.browser_pages import answer_page, as_asked, guarded, is_page
from orchestrator_site.http.cors import answer_preflight, sharing
from orchestrator_site.http.error_responses import expects_object, send_response, with_object
from orchestrator_site.http.lifespan import lifespan
from orchestrator_site.http.root_path import inner_path, rooted
from orchestrator_site.sockets import consumers
from telemetry import metrics, tracing
from web.errors import ApiError

METRICS: Final = "/metrics"
OPENAI: Final = "/v1/"
STATUS_ONLY: Final = "/readyz"
PROBES: Final = frozenset({"/livez", STATUS_ONLY, "/healthz"})
"""Paths that a load balancer asks by an address that no setting can list; an HTTP/1.0 client may name no host."""

FORBIDDEN: Final = 4403
MISSING: Final = 4404


class Application:
    """One ASGI application for HTTP, WebSocket and lifespan."""

    def __init__(self) -> None:
        self._api = ApiHandler()
        self._sockets = consumers()
        self._pages = ASGIStaticFilesHandler(ASGIHandler())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._http(scope, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A socket can do everything that an unsafe method can, so its origin is checked in the same way.
        tracing.remember_caller(scope["headers"])
        try:
            request_limits.check(scope)
            check(RequestOrigin.of({**scope, "method": "WEBSOCKET"}, scope["headers"]), await authenticator.rules())
        except ApiError as refusal:
            metrics.refusals.add(refusal.code)
            await send({"type": "websocket.close", "code": FORBIDDEN})
            return
        socket = self._sockets.get(inner_path(rooted(scope)))
        if socket is None:
            await send({"type": "websocket.close", "code": MISSING})
            return
        await socket(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        tracing.remember_caller(scope["headers"])
        rules = await authenticator.rules()
        request = RequestOrigin.of(scope, scope["headers"])
        scope = rooted(scope)
        path = inner_path(scope)
        as_openai = path.startswith(OPENAI)
        if as_openai or expects_object(scope["headers"]):
            send = with_object(send, as_openai=as_openai)
        is_read = request.method in {"GET", "HEAD"}
        probe = path.rstrip("/") if is_read and path.rstrip("/") in PROBES else ""
        try:
            request_limits.check(scope)
        except ApiError as refusal:
            await _refuse(refusal, request, send)
            return
        try:
            check(request, rules, is_form=is_page(path))
        except ApiError as refusal:
            if probe:
                probe = STATUS_ONLY if probe == "/healthz" else probe
            # A key protects the metrics, which Prometheus asks for by address too.
            elif not (is_read and path == METRICS and rules.keyed):
                await _refuse(refusal, request, send)
                return
        if request.origin:
            send = sharing(request, rules, send)
            if request.method == "OPTIONS":
                await answer_preflight(send)
                return
        if is_page(path):
            await answer_page(self._pages, as_asked(scope), receive, guarded(scope, send))
        elif probe:
            # The server leaves out the body of an answer to HEAD.
            await self._api({**scope, "path": probe, "method": "GET"}, receive, send)
        else:
            await self._api(scope, receive, send)


async def _refuse(refusal: ApiError, request: RequestOrigin, send: Send) -> None:
    metrics.rejected(request.method, refusal.status)
    await send_response(refusal, send)
