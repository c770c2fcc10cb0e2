"""Headers. A request has them as ASGI gives them: pairs of a lower-case name and a value, both bytes."""

import re
from collections.abc import Iterable
from typing import Final

Headers = Iterable[tuple[bytes, bytes]]

INVISIBLE: Final = re.compile(r"[^\x21-\x7e]+")


def values(headers: Headers, name: bytes) -> list[bytes]:
    """Return the values of a header, in the order in which they were sent."""
    return [value for other, value in headers if other == name]


def last(headers: Headers, name: bytes) -> bytes:
    """Return the last value of a header, or nothing."""
    found = values(headers, name)
    return found[-1] if found else b""


def field_value(text: str) -> str:
    """Return a text as the value of a header: one line of visible ASCII (RFC 9110, section 5.5)."""
    # The server refuses a value with a control character, after the response has begun.
    return INVISIBLE.sub(" ", text.encode("ascii", "replace").decode()).strip()
