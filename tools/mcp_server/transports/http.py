"""The transport over HTTP (streamable HTTP): one message a request, answered as JSON or as server-sent events."""

import json
from collections.abc import AsyncIterator
from typing import Any, Final

from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from access.caller import Caller
from tools.mcp_server import server
from tools.mcp_server.calls import open_calls
from tools.mcp_server.calls.exchange import Exchange, Message
from tools.mcp_server.calls.requests import StartedCall
from tools.mcp_server.messages.clients import Client, RoutingHeaders, check_version, is_stateless
from tools.mcp_server.messages.protocol import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    UNSUPPORTED_VERSION,
    RpcError,
    RpcRequest,
    RpcResponse,
    failure,
    id_of,
    parse,
    result,
)
from tools.mcp_server.seals import client_of, session_of
from web.errors import CONTENT_TYPE, ApiError

EVENTS: Final = "text/event-stream"
SESSION: Final = "Mcp-Session-Id"
PING: Final = b": ping\n\n"
SPACE: Final = b"\n"
"""White space, which JSON ignores."""

BAD_REQUESTS: Final = {INVALID_REQUEST: 400, UNSUPPORTED_VERSION: 400, HEADER_MISMATCH: 400}
STATELESS_STATUSES: Final = {**BAD_REQUESTS, INVALID_PARAMS: 400, METHOD_NOT_FOUND: 404}
"""The statuses of errors. In the older protocols, only the body states the problem."""

QUIET: Final = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


async def respond(message: Any, caller: Caller, request: HttpRequest) -> HttpResponseBase:
    """Return the response to a message. Raises `ApiError` (403, 404, 409)."""
    headers = RoutingHeaders(
        version=request.headers.get("MCP-Protocol-Version", ""),
        method=request.headers.get("Mcp-Method", ""),
        name=request.headers.get("Mcp-Name", ""),
    )
    statuses = BAD_REQUESTS
    try:
        if headers.version:
            check_version(headers.version)
        parsed = parse(message)
        if isinstance(parsed, RpcResponse):
            if not await server.take_response(parsed, caller):
                raise RpcError(INVALID_REQUEST, "The server has asked nothing with this id.")
            return HttpResponse(status=202)
        known = _known_client(parsed, caller, headers, request.headers.get(SESSION, ""))
        if is_stateless(parsed, headers):
            statuses = STATELESS_STATUSES
        if parsed.id is None:
            if statuses is BAD_REQUESTS:
                await server.take_notification(parsed, caller, known)
            return HttpResponse(status=202)
        client = server.client_of(parsed, headers, known)
        return await _respond(parsed, caller, client, streams=EVENTS in request.headers.get("Accept", ""))
    except RpcError as error:
        return JsonResponse(failure(id_of(message), error), status=statuses.get(error.code, 200))


async def _respond(request: RpcRequest, caller: Caller, client: Client, *, streams: bool) -> HttpResponseBase:
    number = request.id or 0
    reference = "" if client.is_stateless else open_calls.reference_of(number, caller, client.link)
    answer = await server.answer(request, caller, client, streams=streams, reference=reference)
    if isinstance(answer, StartedCall):
        if reference:
            open_calls.current().add(reference, answer.exchange)
        body = ExchangeBody(answer.exchange, as_events=answer.talks)
        kind = EVENTS if answer.talks else CONTENT_TYPE
        return StreamingHttpResponse(body, content_type=kind, headers=QUIET)
    response = JsonResponse(result(number, answer))
    if request.method == "initialize":
        response[SESSION] = session_of(caller, server.greeted(request))
    return response


def _known_client(request: RpcRequest, caller: Caller, headers: RoutingHeaders, session: str) -> Client:
    """Return the client of a handshake. Raises `ApiError` (404)."""
    if not session or request.method == "initialize":
        return Client(version=headers.version) if headers.version else Client()
    found = client_of(session, caller)
    if found is None:
        raise ApiError(404, "unknown_session", f"{SESSION} is not one of this key. Send initialize without it.")
    return found


class ExchangeBody:
    """The body of the response to a call: its messages as events, or its response as JSON."""

    def __init__(self, exchange: Exchange, *, as_events: bool) -> None:
        self._exchange = exchange
        self._as_events = as_events

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for message in self._exchange:
            if message is None:
                yield PING if self._as_events else SPACE
            elif not self._as_events:
                yield _encoded(message)
            # A cancelled request gets no response, so its stream just ends.
            elif not self._exchange.is_cancelled:
                yield b"event: message\ndata: %b\n\n" % _encoded(message)

    def close(self) -> None:
        """Cancel the call: its client has left, or its key was revoked."""
        self._exchange.close()


def _encoded(message: Message) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()
