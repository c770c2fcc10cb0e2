"""The headers of a request, as ASGI gives them: pairs of a lower-case name and a value, both bytes."""

from collections.abc import Iterable

Headers = Iterable[tuple[bytes, bytes]]


def values(headers: Headers, name: bytes) -> list[bytes]:
    """Return the values of a header, in the order in which they were sent."""
    return [value for other, value in headers if other == name]


def last(headers: Headers, name: bytes) -> bytes:
    """Return the last value of a header, or nothing."""
    found = values(headers, name)
    return found[-1] if found else b""
