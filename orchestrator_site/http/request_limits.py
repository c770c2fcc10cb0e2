"""Limits of a request's head (RFC 9110, sections 4.1 and 5.4; RFC 6585, section 5), for HTTP and WebSocket alike."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from web.errors import ApiError
from web.headers import values

MAX_URL_BYTES: Final = 8_000
"""Bytes of the path and the query as sent."""

MAX_HEADERS: Final = 100
# Bytes of one header's name and value. The WebSocket parser hangs on lines of over 8,192 bytes.
MAX_HEADER_BYTES: Final = 8_000

MAX_HEAD_BYTES: Final = 32_768
"""Bytes of the names and values of all headers."""


def check(scope: Mapping[str, Any]) -> None:
    """Check the head of an ASGI connection scope. Raises `ApiError` (400, 414, 431)."""
    query: bytes = scope["query_string"]
    check_size(len(scope.get("raw_path") or scope["path"]) + len(query), scope["headers"])
    # A proxy and this service could each believe another one (RFC 9112, section 3.2).
    if len(values(scope["headers"], b"host")) > 1:
        raise ApiError(400, "bad_host", "A request must have exactly one Host header.")
    # PostgreSQL cannot store or compare NUL, so no lookup may ever receive one.
    if b"%00" in query or "\x00" in scope["path"]:
        raise ApiError(400, "bad_request", "The path and the query must not contain NUL.")


def check_size(url_bytes: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Check the sizes of the URL and the headers. Raises `ApiError` (414, 431)."""
    if url_bytes > MAX_URL_BYTES:
        raise ApiError(414, "url_too_long", f"Path and query are too long: at most {MAX_URL_BYTES} bytes.")
    sizes = [len(name) + len(value) for name, value in headers]
    if len(sizes) > MAX_HEADERS or sum(sizes) > MAX_HEAD_BYTES or max(sizes, default=0) > MAX_HEADER_BYTES:
        raise too_large()


def too_large() -> ApiError:
    error = (
        f"Request headers are too large: at most {MAX_HEADERS} headers, {MAX_HEADER_BYTES} bytes each, "
        f"{MAX_HEAD_BYTES} bytes in all."
    )
    return ApiError(431, "headers_too_large", error)
