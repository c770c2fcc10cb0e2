"""Pages for browsers: their security headers, and HTTPS as a trusted proxy reports it."""

import logging
import time
from functools import partial
from typing import Final

from django.core.exceptions import BadRequest, SuspiciousOperation

from access import authenticator
from access import conf as access_conf
from access.authenticator import ClientInfo
from access.network import proxies
from access.security_log import security_log
from access.users import staff_session
from orchestrator_site import conf
from orchestrator_site.http.asgi_types import Application, Message, Receive, Scope, Send
from orchestrator_site.http.error_responses import send_response
from orchestrator_site.http.request_body import MAX_ANONYMOUS_BYTES, Disconnected, read_body
from orchestrator_site.http.root_path import inner_path
from storage.reader import read
from telemetry import metrics
from web.errors import ApiError
from web.headers import last

STATIC: Final = "/static/"
PAGES: Final = ("/admin", STATIC, "/docs", "/openapi.json", "/oauth/")
"""Paths with sync views, which take the whole of Django."""

LOGIN: Final = "/admin/login/"
IMPORT: Final = "/admin/chat/session/import/"
"""The form with a file, which may be as large as a body of the API."""

FORM_AGAIN: Final = 200
"""The status of a login that failed, which shows the form again; otherwise it redirects."""

POLICY: Final = (
    b"default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    b"frame-ancestors 'none'"
)
"""The content security policy (https://www.w3.org/TR/CSP3/). Images in the styles of the docs page are `data:` URLs."""

HEADERS: Final = (
    (b"content-security-policy", POLICY),
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
REVALIDATED: Final = (b"cache-control", b"no-cache")
"""The header of static files. A browser that guesses how long to keep them would mix those of two versions."""


logger = logging.getLogger(__name__)


def is_page(path: str) -> bool:
    return path == "/" or path.startswith(PAGES)


def guarded(scope: Scope, send: Send) -> Send:
    """Add the missing security headers to the response, and record it."""
    began = time.perf_counter()
    path = inner_path(scope)
    route = next((page for page in PAGES if path.startswith(page)), "/")
    wanted = (*HEADERS, REVALIDATED) if path.startswith(STATIC) else HEADERS

    async def guard(message: Message) -> None:
        if message["type"] == "http.response.start":
            metrics.request(scope["method"], route, message["status"], time.perf_counter() - began)
            names = {name.lower() for name, _ in message["headers"]}
            missing = [header for header in wanted if header[0] not in names]
            message = {**message, "headers": [*message["headers"], *missing]}
        await send(message)

    return guard


async def answer_page(pages: Application, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with one of the pages. An error outside of Django's own handling is sent in the shape of the API's."""
    status: int | None = None

    async def record(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)
        await send(message)

    try:
        # Django would write a body of any length to the disk before a view sees it.
        most = conf.max_body_bytes() if inner_path(scope) == IMPORT else MAX_ANONYMOUS_BYTES
        body = await read_body(scope, receive, most, partial(_check_staff, scope))
        unread = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive_again() -> Message:
            message: Message = unread.pop() if unread else await receive()
            return message

        if scope["method"] != "POST" or inner_path(scope) != LOGIN:
            await pages(scope, receive_again, record)
            return
        caller = ClientInfo.of(scope)
        async with authenticator.current().login(caller):
            await pages(scope, receive_again, record)
        if status == FORM_AGAIN:
            security_log.report("console_login.failed", client=caller.client)
    except Disconnected:
        pass
    except Exception as error:
        if status is not None:
            raise
        await send_response(_refusal_of(error), send)


async def _check_staff(scope: Scope) -> None:
    """Check that the console's user sends the body, before a large one is read. Raises `ApiError` (403)."""
    if not await read(staff_session.is_staff, staff_session.session_key(scope["headers"])):
        raise ApiError(403, "forbidden", "Log in to the console first: only staff can send a form of this size.")


def _refusal_of(error: Exception) -> ApiError:
    if isinstance(error, ApiError):
        return error
    # What a reader of forms, charsets or paths raises for a request that it does not understand.
    if isinstance(error, SuspiciousOperation | BadRequest | ValueError | LookupError):
        return ApiError(400, "bad_request", "The request is malformed.")
    logger.exception("page.broken", exc_info=error)
    return ApiError(500, "internal", "Internal error. The service's log has the details.")


def as_asked(scope: Scope) -> Scope:
    """Return the scope of a page, with the scheme `https` if a trusted proxy reports it."""
    if (path := inner_path(scope)).startswith(STATIC):
        # Django's handler of these files knows no root path.
        scope = {**scope, "path": path, "root_path": ""}
    # Django's own setting for this header believes every client.
    client = scope.get("client")
    proto = last(scope["headers"], b"x-forwarded-proto")
    if proto == b"https" and client and proxies.is_trusted(str(client[0]), access_conf.trusted_proxies()):
        return {**scope, "scheme": "https"}
    return scope
