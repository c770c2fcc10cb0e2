"""The refusals of HTTP services, in every shape in which they come: their words, their code, and the time to wait."""

import html
import json
import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec

from chat.engine.model_port import ProviderError
from chat.engine.text import whole_text

TEXTS: Final = ("message", "detail", "msg", "error_msg", "error_message", "status_msg", "title", "reason")
CODES: Final = ("code", "type", "status", "status_code", "error_code")
PARTS: Final = ("error", "errors", "detail", "message", "base_resp", "fault", "exception")
"""The fields in which an error's own object or text may be."""

STATUSES: Final = {
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "too_many_requests": 429,
    "insufficient_quota": 429,
    "invalid_api_key": 401,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "invalid_request_error": 400,
    "request_too_large": 413,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The HTTP statuses of errors that arrive after a status 200, by their codes."""

TOO_LONG_CODES: Final = frozenset({"context_length_exceeded", "exceed_context_size_error", "context_window_exceeded"})
# Each service has its own words, and most have no code for it.
TOO_LONG: Final = re.compile(
    r"maximum context length|context (?:length|window|size|limit)|context_length|available context"
    r"|max(?:imum)? model length|(?:prompt|input|request|message)s? (?:is|are) too (?:long|large)"
    r"|too many (?:input )?tokens"
    r"|token count.{0,80}exceed|exceeds?.{0,60}(?:number of|maximum|max|limit of|input) tokens"
    r"|exceeds?.{0,40}token limit|reduce the length of the (?:messages|prompt|input)",
    re.IGNORECASE | re.DOTALL,
)
LENGTH: Final = re.compile(r"(?:context|model)[ _](?:length|window|size)\D{1,40}?(\d{3,8})\b", re.IGNORECASE)
RATE: Final = re.compile(r"per (?:min|hour|day|second)|rate.?limit|quota", re.IGNORECASE)

MAX_BODY_CHARACTERS: Final = 16 * 1_024


def plain_text(body: str) -> str:
    """Return the text of a body. Of an HTML page, this is only its title."""
    text = body[:MAX_BODY_CHARACTERS].strip()
    if not text.startswith("<"):
        return text
    _, found, rest = text.partition("<title")
    title = rest.partition(">")[2].partition("</title")[0] if found else ""
    return f"an HTML page ({' '.join(html.unescape(title).split())})" if title else "an HTML page"


def retry_after(header: str, now: datetime | None = None) -> float | None:
    """Return the seconds that a `Retry-After` header asks for: a number or a date (RFC 9110, section 10.2.3)."""
    try:
        seconds = float(header)
    except ValueError:
        try:
            date = parsedate_to_datetime(header)
        except ValueError:
            return None
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        seconds = (date - (now or datetime.now(UTC))).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


class ServiceError(msgspec.Struct, frozen=True, kw_only=True):
    """An error as the service described it. `status` is the HTTP status in it, or 0."""

    message: str
    code: str = ""
    status: int = 0


def read_body(text: str) -> ServiceError:
    """Return the error in a response's body, which may be JSON, HTML or plain text."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return ServiceError(message=plain_text(text))
    return read_error(body)


def read_error(body: Any) -> ServiceError:
    """Return the error in a JSON value."""
    if isinstance(body, list):
        return read_error(body[0]) if body else ServiceError(message="")
    if not isinstance(body, dict):
        return ServiceError(message="" if body is None else plain_text(str(body)))
    inner = next((body[name] for name in PARTS if isinstance(body.get(name), dict | list) and body[name]), None)
    nested = read_error(inner) if inner is not None else ServiceError(message="")
    own = next((body[name] for name in (*TEXTS, *PARTS) if isinstance(body.get(name), str) and body[name]), "")
    codes = [body[name] for name in CODES if isinstance(body.get(name), str | int) and body[name]]
    code = next((str(code) for code in codes if isinstance(code, str) and not code.isdigit()), "")
    status = next((int(code) for code in codes if str(code).isdigit() and 100 <= int(code) < 600), 0)
    message = nested.message or plain_text(own)
    # A gateway reports its own sentence, and the words of the service behind it as they came.
    raw = body.get("metadata")
    if isinstance(raw, dict) and isinstance(raw.get("raw"), str) and raw["raw"]:
        message = f"{message}: {read_body(raw['raw']).message}"
    return ServiceError(message=message or json.dumps(body), code=nested.code or code, status=nested.status or status)


def context_length(message: str) -> int | None:
    """Return the tokens of context that a service says it has, or None."""
    found = LENGTH.search(message)
    return int(found[1]) if found else None


def interruption(name: str, error: Any) -> ProviderError:
    """Return the error of a service `name` that reported it within its answer."""
    found = read_error(error)
    status = found.status or STATUSES.get(found.code, 500)
    return refusal(status, found.code, f"{name} broke off: {whole_text(found.message)}", None)


# OpenAI uses status 429 for two things: a rate limit, which passes, and a used-up quota, which does not.
def refusal(status: int, code: str, message: str, retry_after: float | None) -> ProviderError:
    """Return the error for a status and the service's own error code."""
    if status == 429:
        retryable = code not in {"insufficient_quota", "billing_hard_limit_reached"}
        return ProviderError(message, code="provider_rate_limited", retryable=retryable, retry_after=retry_after)
    if status in {401, 403}:
        return ProviderError(message, code="provider_auth", retryable=False)
    if code in TOO_LONG_CODES or (TOO_LONG.search(message) and not RATE.search(message)):
        return ProviderError(message, code="context_too_long", retryable=False)
    if status >= 500 or status == 408:
        return ProviderError(message, code="provider_unavailable", retryable=True, retry_after=retry_after)
    return ProviderError(message, code="provider_rejected", retryable=False)
