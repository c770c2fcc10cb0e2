"""How much the head of a request may be (RFC 9110, sections 4.1 and 5.4; RFC 6585, section 5), whatever reads it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from web.errors import ApiError
from web.headers import values

MAX_URL_BYTES: Final = 8_000
"""Of the path and the query, as they were sent."""

MAX_HEADERS: Final = 100
MAX_HEADER_BYTES: Final = 8_000
"""Of one header's name and value. What reads the heads of WebSockets hangs beyond 8,192 bytes of one line."""

MAX_HEAD_BYTES: Final = 32_768
"""Of all names and values of the headers."""


def check(scope: Mapping[str, Any]) -> None:
    """Raises `ApiError` (400, 414, 431) for an ASGI connection scope whose head nothing behind it should have to read.

    Of no text that a database is asked for may NUL be a part: some have no such character.
    """
    query: bytes = scope["query_string"]
    check_size(len(scope.get("raw_path") or scope["path"]) + len(query), scope["headers"])
    if len(values(scope["headers"], b"host")) > 1:
        raise ApiError(400, "bad_host", "A request has one Host header.")
    if b"%00" in query or "\x00" in scope["path"]:
        raise ApiError(400, "bad_request", "The path and the query have no NUL.")


def check_size(url_bytes: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Raises `ApiError` (414, 431)."""
    if url_bytes > MAX_URL_BYTES:
        raise ApiError(414, "url_too_long", f"Path and query have at most {MAX_URL_BYTES} bytes.")
    sizes = [len(name) + len(value) for name, value in headers]
    if len(sizes) > MAX_HEADERS or sum(sizes) > MAX_HEAD_BYTES or max(sizes, default=0) > MAX_HEADER_BYTES:
        raise too_large()


def too_large() -> ApiError:
    told = f"There are at most {MAX_HEADERS} headers, of {MAX_HEAD_BYTES} bytes, and of {MAX_HEADER_BYTES} each."
    return ApiError(431, "headers_too_large", told)
