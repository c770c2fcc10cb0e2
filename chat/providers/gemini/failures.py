"""What a failure of Gemini means to a run: https://ai.google.dev/gemini-api/docs/troubleshooting."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import aiohttp
import msgspec
from google.genai import errors

from chat.engine.model_port import ErrorCode, ProviderError

MAX_ERROR_CHARACTERS: Final = 500

UNREADABLE: Final = (ValueError, TypeError, AttributeError, LookupError)
"""What the SDK raises over an answer that is not JSON, or is JSON of another shape than it expects."""

FAILURES: Final = (errors.APIError, aiohttp.ClientError, OSError, *UNREADABLE)
"""All that the SDK raises over a request or its answer."""

REFUSALS: Final[Mapping[int, tuple[ErrorCode, bool]]] = {
    HTTPStatus.UNAUTHORIZED: ("provider_auth", False),
    HTTPStatus.FORBIDDEN: ("provider_auth", False),
    HTTPStatus.REQUEST_TIMEOUT: ("provider_timeout", True),
    HTTPStatus.TOO_MANY_REQUESTS: ("provider_rate_limited", True),
}
KEY_REFUSED: Final = re.compile(r"api[ _]key", re.IGNORECASE)
TOO_LONG: Final = re.compile(r"token count.*exceeds|exceeds.*number of tokens", re.IGNORECASE | re.DOTALL)
SECONDS: Final = re.compile(r"(\d+(?:\.\d+)?)s?")


def failure(error: Exception, api_key: str) -> ProviderError:
    """What one of `FAILURES` is to a run, without the key in its message."""
    match error:
        case errors.APIError():
            return _refusal(error, _masked(str(error.message or error.status or "no reason is given"), api_key))
        case TimeoutError():
            return ProviderError("Gemini did not answer in time", code="provider_timeout", retryable=True)
        case aiohttp.ClientPayloadError():
            return broken("its answer was cut")
        case aiohttp.ClientError() | OSError():
            message = _masked(f"Gemini cannot be reached: {error}", api_key)
            return ProviderError(message, code="provider_unavailable", retryable=True)
    return broken("its answer was not what the API describes")


def broken(what: str) -> ProviderError:
    """An answer that is not whole."""
    return ProviderError(f"Gemini broke off: {what}", code="provider_protocol", retryable=True)


def _masked(message: str, api_key: str) -> str:
    return message.replace(api_key, "***")[:MAX_ERROR_CHARACTERS]


def _refusal(error: errors.APIError, said: str) -> ProviderError:
    code, retryable = _classified(error)
    return ProviderError(
        f"Gemini answered {error.code}: {said}", code=code, retryable=retryable, retry_after=_retry_after(error)
    )


def _classified(error: errors.APIError) -> tuple[ErrorCode, bool]:
    """The code of a refusal, and whether to retry."""
    if error.code == HTTPStatus.BAD_REQUEST and KEY_REFUSED.search(str(error.details)):
        return "provider_auth", False
    if error.code == HTTPStatus.BAD_REQUEST and TOO_LONG.search(str(error.details)):
        return "context_too_long", False
    if error.code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "provider_unavailable", True
    return REFUSALS.get(error.code, ("provider_rejected", False))


class _ErrorDetail(msgspec.Struct, frozen=True):
    """https://cloud.google.com/apis/design/errors: `retryDelay` is a google.rpc.RetryInfo's, such as `34.07s`."""

    retry_delay: str = msgspec.field(name="retryDelay", default="")


class _ErrorStatus(msgspec.Struct, frozen=True):
    details: tuple[_ErrorDetail, ...] = ()


class _ErrorBody(msgspec.Struct, frozen=True):
    error: _ErrorStatus


def _retry_after(error: errors.APIError) -> float | None:
    """Seconds, of the header or else of the body."""
    try:
        details = msgspec.convert(error.details, _ErrorBody).error.details
    except msgspec.ValidationError:
        details = ()
    for told in (error.response.headers.get("Retry-After", ""), *(detail.retry_delay for detail in details)):
        if delay := SECONDS.fullmatch(told):
            return float(delay[1])
    return None
