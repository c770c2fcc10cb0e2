"""The conversion of Gemini's errors: https://ai.google.dev/gemini-api/docs/troubleshooting."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import aiohttp
import msgspec
from google.genai import errors

from chat.engine.model_port import ErrorCode, ProviderError
from chat.providers.refusals import plain_text, retry_after

MAX_ERROR_CHARACTERS: Final = 500

UNREADABLE: Final = (ValueError, TypeError, AttributeError, LookupError)
"""The SDK's exceptions for an answer that is not JSON, or is JSON of another shape than it expects."""

FAILURES: Final = (errors.APIError, aiohttp.ClientError, OSError, *UNREADABLE)
"""All exceptions of the SDK for a request or its answer."""

REFUSALS: Final[Mapping[int, tuple[ErrorCode, bool]]] = {
    HTTPStatus.UNAUTHORIZED: ("provider_auth", False),
    HTTPStatus.FORBIDDEN: ("provider_auth", False),
    HTTPStatus.REQUEST_TIMEOUT: ("provider_timeout", True),
    HTTPStatus.TOO_MANY_REQUESTS: ("provider_rate_limited", True),
}
# Gemini reports both as status 400, and only the text tells them apart from other invalid requests.
KEY_REFUSED: Final = re.compile(r"api[ _]key", re.IGNORECASE)
TOO_LONG: Final = re.compile(r"token count.*exceeds|exceeds.*number of tokens", re.IGNORECASE | re.DOTALL)
SECONDS: Final = re.compile(r"(\d+(?:\.\d+)?)s?")


def failure(error: Exception, api_key: str) -> ProviderError:
    """Convert one of `FAILURES`. The key is masked in the message."""
    match error:
        case errors.APIError():
            message = _masked(plain_text(str(error.message or error.status or "no reason is given")), api_key)
            code, retryable = _classified(error)
            return ProviderError(
                f"Gemini answered {error.code}: {message}",
                code=code,
                retryable=retryable,
                retry_after=_retry_after(error),
            )
        case TimeoutError():
            return ProviderError("Gemini did not answer in time", code="provider_timeout", retryable=True)
        case aiohttp.ClientPayloadError():
            return broken("its answer was cut")
        case aiohttp.ClientError() | OSError():
            message = _masked(f"Gemini cannot be reached: {error}", api_key)
            return ProviderError(message, code="provider_unavailable", retryable=True)
    return broken("its answer was not what the API describes")


def broken(what: str) -> ProviderError:
    """Return the error for an incomplete answer."""
    return ProviderError(f"Gemini broke off: {what}", code="provider_protocol", retryable=True)


def _masked(message: str, api_key: str) -> str:
    return message.replace(api_key, "***")[:MAX_ERROR_CHARACTERS]


def _classified(error: errors.APIError) -> tuple[ErrorCode, bool]:
    """Return the code of an error, and whether to retry."""
    if error.code == HTTPStatus.BAD_REQUEST and KEY_REFUSED.search(str(error.details)):
        return "provider_auth", False
    if error.code == HTTPStatus.BAD_REQUEST and TOO_LONG.search(str(error.details)):
        return "context_too_long", False
    if error.code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "provider_unavailable", True
    return REFUSALS.get(error.code, ("provider_rejected", False))


class _ErrorDetail(msgspec.Struct, frozen=True):
    """A detail of an error. `retryDelay` is a `google.rpc.RetryInfo`'s, such as `34.07s`.

    https://cloud.google.com/apis/design/errors
    """

    retry_delay: str = msgspec.field(name="retryDelay", default="")


class _ErrorStatus(msgspec.Struct, frozen=True):
    details: tuple[_ErrorDetail, ...] = ()


class _ErrorBody(msgspec.Struct, frozen=True):
    error: _ErrorStatus


def _retry_after(error: errors.APIError) -> float | None:
    """Return the seconds to wait, from the header or else from the body."""
    try:
        details = msgspec.convert(error.details, _ErrorBody).error.details
    except msgspec.ValidationError:
        details = ()
    delays = (SECONDS.fullmatch(detail.retry_delay) for detail in details)
    delay = next((float(delay[1]) for delay in delays if delay), None)
    header = retry_after(error.response.headers.get("Retry-After", ""))
    return delay if header is None else header
