"""The refusals of HTTP services: the text of a body for people, and the time to wait."""

import html
import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

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
