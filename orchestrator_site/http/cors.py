"""Cross-origin resource sharing: the headers that let pages of allowed origins call the API.

Source: https://fetch.spec.whatwg.org/#http-cors-protocol.
"""

from typing import Final

from access.network.host_check import RequestOrigin, Rules, may_share
from orchestrator_site.http.asgi_types import Message, Send

EXPOSED: Final = (
    b"X-Run-Id, X-Session-Id, X-Request-Id, Content-Location, Retry-After, RateLimit, RateLimit-Policy, "
    b"X-Speech-Provider, X-Speech-Model, X-Speech-Voice, X-Speech-Note"
)
"""Response headers that a page of another origin may read."""

PREFLIGHT: Final = (
    (b"access-control-allow-methods", b"GET, POST, PATCH, DELETE"),
    (b"access-control-allow-headers", b"Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-API-Key"),
    (b"access-control-max-age", b"600"),
)


def sharing(request: RequestOrigin, rules: Rules, send: Send) -> Send:
    """Return `send` with the headers that let a page of an allowed origin read the response."""
    # Without Vary, a cache could give one origin's response to another origin.
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


async def answer_preflight(send: Send) -> None:
    """Answer a preflight request: an `OPTIONS` request with an origin."""
    # A browser sends no key with a preflight request, so it is answered before authentication.
    await send({"type": "http.response.start", "status": 204, "headers": list(PREFLIGHT)})
    await send({"type": "http.response.body", "body": b""})
