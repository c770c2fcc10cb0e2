"""The HTTP status of each failure of speech."""

import math
from typing import Final

from speech.base import ErrorCode, SpeechError
from web.errors import ApiError

# Every other code is about the value of a field: 422.
STATUSES: Final[dict[ErrorCode, int]] = {
    "disabled": 403,
    "budget_exceeded": 403,
    "text_too_long": 413,
    "audio_too_long": 413,
    "audio_too_large": 413,
    "busy": 503,
    "provider_rate_limited": 503,
    "provider_timeout": 504,
    "provider_unavailable": 502,
    "provider_auth": 502,
    "provider_rejected": 502,
    "provider_protocol": 502,
}

DEFAULT_RETRY_SECONDS: Final = 5.0


def api_error(error: SpeechError) -> ApiError:
    """Return the HTTP error, with `Retry-After` for 503."""
    status = STATUSES.get(error.code, 422)
    headers = {"Retry-After": str(math.ceil(error.retry_after or DEFAULT_RETRY_SECONDS))} if status == 503 else {}
    return ApiError(status, error.code, str(error), headers=headers)
