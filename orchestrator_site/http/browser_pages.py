"""Pages for browsers: their security headers, and HTTPS as a trusted proxy reports it."""

import time
from typing import Final

from access import conf
from access.network import proxies
from orchestrator_site.http.asgi_types import Message, Scope, Send
from telemetry import metrics
from web.headers import last

PAGES: Final = ("/admin", "/static/", "/docs", "/openapi.json")
"""Paths with sync views, which take the whole of Django."""

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


def is_page(path: str) -> bool:
    return path == "/" or path.startswith(PAGES)


def guarded(scope: Scope, send: Send) -> Send:
    """Add the missing security headers to the response, and record it."""
    began = time.perf_counter()
    route = next((page for page in PAGES if scope["path"].startswith(page)), "/")

    async def guard(message: Message) -> None:
        if message["type"] == "http.response.start":
            metrics.request(scope["method"], route, message["status"], time.perf_counter() - began)
            names = {name.lower() for name, _ in message["headers"]}
            missing = [header for header in HEADERS if header[0] not in names]
            message = {**message, "headers": [*message["headers"], *missing]}
        await send(message)

    return guard


def as_asked(scope: Scope) -> Scope:
    """Return the scope with the scheme `https` if a trusted proxy reports it."""
    # Django's own setting for this header believes every client.
    client = scope.get("client")
    proto = last(scope["headers"], b"x-forwarded-proto")
    if proto == b"https" and client and proxies.is_trusted(str(client[0]), conf.trusted_proxies()):
        return {**scope, "scheme": "https"}
    return scope
