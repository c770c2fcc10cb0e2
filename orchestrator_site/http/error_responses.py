"""An `ApiError` as a response: to Django, to ASGI, and to a bare connection. Each one is counted."""

from http import HTTPStatus
from typing import Final

import msgspec
from django.http import HttpResponse

from orchestrator_site.http.asgi_types import Message, Send
from telemetry import metrics
from web.errors import CONTENT_TYPE, ApiError
from web.headers import Headers, last

SERVER: Final = HTTPStatus.INTERNAL_SERVER_ERROR
UNPROCESSABLE: Final = HTTPStatus.UNPROCESSABLE_ENTITY
OPENAI_TYPES: Final[dict[int, str]] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
"""The types of OpenAI's errors. Others are `invalid_request_error` or `server_error`."""


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


def expects_object(headers: Headers) -> bool:
    """Return whether the client is an SDK that shows an error only if `error` is an object with a `message`."""
    # The SDKs of OpenAI and Anthropic send the one header; the AI SDK (https://ai-sdk.dev) has its name in the other.
    return bool(last(headers, b"x-stainless-lang")) or b"ai-sdk/" in last(headers, b"user-agent")


def with_object(send: Send, *, as_openai: bool = False) -> Send:
    """Return `send`, which makes `error` an object with `message`, `type` and `code` in the body of an error.

    With `as_openai`, the body and its status are those of OpenAI's API, and have nothing else.
    """
    head: Message | None = None
    body = b""

    async def convert(message: Message) -> None:
        nonlocal head, body
        if message["type"] == "http.response.start":
            kinds = [value for name, value in message["headers"] if name.lower() == b"content-type"]
            if message["status"] >= HTTPStatus.BAD_REQUEST and kinds == [CONTENT_TYPE.encode()]:
                head = message
                return
        if head is None:
            await send(message)
            return
        body += message.get("body", b"")
        if message.get("more_body"):
            return
        fields = msgspec.json.decode(body)
        # A probe's answer is JSON of another shape.
        if "error" in fields:
            fields["error"] = {"message": fields["message"], "type": fields["code"], "code": fields["code"]}
            if as_openai:
                other = "invalid_request_error" if head["status"] < SERVER else "server_error"
                kind = OPENAI_TYPES.get(head["status"], other)
                fields = {"error": {**fields["error"], "type": kind, "param": None}}
            body = msgspec.json.encode(fields)
        # OpenAI's API knows no 422.
        status = HTTPStatus.BAD_REQUEST if as_openai and head["status"] == UNPROCESSABLE else head["status"]
        headers = [pair for pair in head["headers"] if pair[0].lower() != b"content-length"]
        await send({**head, "status": status, "headers": [*headers, (b"content-length", str(len(body)).encode())]})
        await send({**message, "body": body})

    return convert
