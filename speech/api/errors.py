"""What each failure of speech is to an HTTP caller."""

import math
from typing import Final

from speech.base import ErrorCode, SpeechError
from web.errors import ApiError

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
"""All else is a field's value: 422."""

LATER: Final = 5.0


def refusal_of(error: SpeechError) -> ApiError:
    """The refusal, with `Retry-After` where trying again can help soon."""
    status = STATUSES.get(error.code, 422)
    headers = {"Retry-After": str(math.ceil(error.retry_after or LATER))} if status == 503 else {}
    return ApiError(status, error.code, str(error), headers=headers)
