"""The answers of the service: values, or the errors that they stand for."""

from http import HTTPStatus
from typing import Any, Final, TypeVar

import msgspec

from orchestrator_client.core import requests
from orchestrator_client.core.errors import ApiError, ProtocolError
from orchestrator_client.core.requests import Call
from orchestrator_client.core.steps import Cut, Head

Answer = TypeVar("Answer")

LONGEST_RETRY_AFTER: Final = 60.0
"""The longest wait in seconds that the service may ask for."""

MAX_ERROR_BYTES: Final = 64 * 1_024
MAX_DIGITS: Final = 9


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of an error."""

    code: str
    message: str
    detail: tuple[Any, ...] = ()


def decoded(url: str, asked: Call[Answer], head: Head, body: bytes) -> Answer:
    """Return the value of an answer. Raise `ApiError` and `ProtocolError`."""
    if not head.is_success:
        raise refusal(head, body)
    if asked.answer is bytes:
        return body  # type: ignore[return-value]  # the answer's type is that of the body
    check_type(url, head, requests.JSON)
    try:
        return msgspec.json.decode(body, type=asked.answer)
    except msgspec.DecodeError as error:
        raise ProtocolError(f"The answer of the service cannot be read: {error}.") from None


def check_type(url: str, head: Head, expected: str) -> None:
    """Raise `ProtocolError` if an answer has another content type, as those of other services have."""
    media_type = head.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != expected:
        raise ProtocolError(f"{url} is another service: it answers with {media_type or 'no content type'}.")


def refusal(head: Head, body: bytes) -> ApiError:
    """Return the error that the service rejected a request with."""
    try:
        found = msgspec.json.decode(body[:MAX_ERROR_BYTES], type=ErrorBody)
    except msgspec.DecodeError:
        found = ErrorBody(code="", message=f"The service answers {head.status}.")
    return ApiError(head.status, found.code, found.message, found.detail, retry_after(head))


def try_later(head: Head) -> Cut | None:
    """Return the reason to send a request again later, or None if the answer stands."""
    if head.status != HTTPStatus.TOO_MANY_REQUESTS and head.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return None
    wait = min(LONGEST_RETRY_AFTER, retry_after(head) or 0)
    return Cut(f"the service answers {head.status}", reached=True, retry_after=wait)


def retry_after(head: Head) -> float | None:
    """Return the seconds of `Retry-After` (RFC 9110, 10.2.3). A date is not read, because the service sends none."""
    text = head.headers.get("retry-after", "")
    return float(text) if text.isdecimal() and len(text) <= MAX_DIGITS else None
