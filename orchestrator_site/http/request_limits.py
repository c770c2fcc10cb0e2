"""Limits of a request's head (RFC 9110, sections 4.1 and 5.4; RFC 6585, section 5), for HTTP and WebSocket alike."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from web.errors import ApiError
from web.headers import last, values

MAX_URL_BYTES: Final = 8_000
"""Bytes of the path and the query as sent."""

MAX_HEADERS: Final = 100
# Bytes of one header's name and value. The WebSocket parser hangs on lines of over 8,192 bytes.
MAX_HEADER_BYTES: Final = 8_000

MAX_HEAD_BYTES: Final = 32_768
"""Bytes of the names and values of all headers."""


CHARSETS: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
"""Charsets in which a body may be declared. JSON is UTF-8 (RFC 8259, section 8.1), and so are the console's forms."""

_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA_TYPE: Final = re.compile(rf"{_WORD}/{_WORD}")
_PARAMETER: Final = re.compile(rf"[ \t]*;[; \t]*(?P<name>{_WORD})=(?:\"(?P<quoted>[ !#-\[\]-~]*)\"|(?P<value>{_WORD}))")


def check(scope: Mapping[str, Any]) -> None:
    """Check the head of an ASGI connection scope. Raises `ApiError` (400, 404, 414, 415, 431)."""
    query: bytes = scope["query_string"]
    check_size(len(scope.get("raw_path") or scope["path"]) + len(query), scope["headers"])
    # A proxy and this service could each believe another one (RFC 9112, section 3.2).
    if len(values(scope["headers"], b"host")) > 1:
        raise ApiError(400, "bad_host", "A request must have exactly one Host header.")
    # PostgreSQL cannot store or compare NUL, so no lookup may ever receive one.
    if b"%00" in query or "\x00" in scope["path"]:
        raise ApiError(400, "bad_request", "The path and the query must not contain NUL.")
    if ".." in scope["path"].replace("\\", "/").split("/"):
        raise ApiError(404, "not_found", "Not found. A path must not contain '..'.")
    check_media_type(last(scope["headers"], b"content-type"))


def check_media_type(value: bytes) -> None:
    """Check a `Content-Type` (RFC 9110, section 8.3). Raises `ApiError` (400, 415)."""
    # Django and the form parsers raise many kinds of errors for values that are outside of the grammar.
    text = value.decode("latin-1").strip(" \t")
    if not text:
        return
    kind = _MEDIA_TYPE.match(text)
    position = kind.end() if kind else 0
    while kind and position < len(text) and (parameter := _PARAMETER.match(text, position)):
        position = parameter.end()
        name = parameter["name"].lower()
        # A name with a star has a value in another encoding (RFC 8187), which no media type uses.
        if "*" in name:
            break
        if name == "charset" and (parameter["quoted"] or parameter["value"] or "").lower() not in CHARSETS:
            raise ApiError(415, "unsupported_media_type", "Unsupported charset. Send the body in UTF-8.")
    else:
        if kind and not text[position:].strip("; \t"):
            return
    raise ApiError(400, "bad_request", "The Content-Type header is malformed. Valid is, for example, application/json.")


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
