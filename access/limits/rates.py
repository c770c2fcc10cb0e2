"""Rates as an operator writes them: `60/minute`, `5/second`, `1000/2 hours`."""

import re
from functools import lru_cache
from typing import Final

from limits import RateLimitItem
from limits import parse as parsed

MAX_REQUESTS: Final = 10**9
MAX_UNITS: Final = 10**4

_WRITTEN: Final = re.compile(r"(?P<amount>\d{1,10}) ?(?:/|per) ?(?:(?P<count>\d{1,5}) )?(second|minute|hour|day)s?")


class RateInvalid(ValueError):
    """The text is not a rate; the message describes the valid form."""


@lru_cache(maxsize=1_024)
def rate(text: str) -> RateLimitItem:
    """Parse a rate. Raises `RateInvalid`."""
    written = text.strip().lower()
    # `\d` also matches the digits of other scripts.
    found = _WRITTEN.fullmatch(written) if written.isascii() else None
    if found is None:
        raise RateInvalid("A rate is a number of requests and a time, such as 5/second, 60/minute or 1000/2 hours.")
    if not 0 < int(found["amount"]) <= MAX_REQUESTS or not 0 < int(found["count"] or 1) <= MAX_UNITS:
        raise RateInvalid(f"A rate is 1 to {MAX_REQUESTS} requests in 1 to {MAX_UNITS} units of time.")
    return parsed(written)


def optional(text: str) -> str:
    """Check the text of a rate, which may be empty. Raises `RateInvalid`."""
    if text:
        rate(text)
    return text
