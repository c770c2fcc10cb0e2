"""An `ApiError` as a response: to Django, to ASGI, and to a bare connection. Each one is counted."""

from http import HTTPStatus

from django.http import HttpResponse

from orchestrator_site.http.asgi_types import Send
from telemetry import metrics
from web.errors import CONTENT_TYPE, ApiError


def django_response(error: ApiError) -> HttpResponse:
    """Return the error as a response of a view."""
    metrics.refusals.add(error.code)
    return HttpResponse(error.body(), status=error.status, content_type=CONTENT_TYPE, headers=error.headers)


async def send_response(error: ApiError, send: Send) -> None:
    """Send the error for a request that no view sees."""
    metrics.refusals.add(error.code)
    body = error.body()
    headers = [
        (b"content-type", CONTENT_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        *((name.lower().encode(), value.encode()) for name, value in error.headers.items()),
    ]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def raw_response(error: ApiError) -> bytes:
    """Return the bytes of an HTTP/1.1 response, for a request that never became a message."""
    metrics.refusals.add(error.code)
    body = error.body()
    headers = {"content-type": CONTENT_TYPE, "content-length": len(body), "connection": "close", **error.headers}
    lines = [f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}", *(f"{k}: {v}" for k, v in headers.items())]
    head = "\r\n".join([*lines, "", ""])
    return head.encode("ascii") + body
