"""A response with the content of an open file: whole, a range of it, or not at all if the client has it already.

Sources: RFC 9110, section 13 (conditional requests) and section 14 (ranges).
"""

import asyncio
import mimetypes
import os
import re
from collections.abc import Callable
from typing import Final, Self

from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.http import http_date

from web.errors import ApiError

BLOCK_BYTES: Final = 256 * 1_024
RANGE: Final = re.compile(r"bytes=(?P<first>[0-9]{0,18})-(?P<last>[0-9]{0,18})")
UNKNOWN: Final = "application/octet-stream"
SAFE: Final = frozenset(
    {"image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf", "application/json", "application/gzip"}
)
"""Media types that no browser runs, besides sound, video and plain text."""


def etag_of(status: os.stat_result) -> str:
    """Return the validator of a file. Each write of the service makes a new file, with another number."""
    return f'"{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}"'


def file_response(request: HttpRequest, handle: int, path: str, close: Callable[[], None]) -> HttpResponseBase:
    """Return the response for the file of a handle, which `close` closes. Raises `ApiError` (412, 416)."""
    try:
        status = os.fstat(handle)
        etag = etag_of(status)
        headers = {
            "ETag": etag,
            "Last-Modified": http_date(status.st_mtime),
            "Accept-Ranges": "bytes",
            "Cache-Control": "private, no-cache",
            # The files come from models and callers, and the console has the same origin.
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "sandbox; default-src 'none'",
        }
        unchanged = get_conditional_response(request, etag=etag, last_modified=int(status.st_mtime))
        if unchanged is not None and unchanged.status_code == 412:
            raise ApiError(
                412, "precondition_failed", "The file is not the one that If-Match names.", headers={"ETag": etag}
            )
        if unchanged is not None:
            for name, value in headers.items():
                unchanged[name] = value
            close()
            return unchanged
        first, last = _range(request, etag, status)
    except BaseException:
        close()
        raise
    partial = (first, last) != (0, status.st_size)
    if partial:
        headers["Content-Range"] = f"bytes {first}-{last - 1}/{status.st_size}"
    headers["Content-Length"] = str(last - first)
    body = _Content(handle, first, last, close)
    return StreamingHttpResponse(body, status=206 if partial else 200, content_type=media_type(path), headers=headers)


def media_type(path: str) -> str:
    """Return the media type of a file by its name, as far as a browser may show it."""
    found = mimetypes.guess_type(path)[0] or UNKNOWN
    if found.startswith("text/"):
        return "text/plain; charset=utf-8"
    return found if found in SAFE or found.startswith(("audio/", "video/")) else UNKNOWN


def _range(request: HttpRequest, etag: str, status: os.stat_result) -> tuple[int, int]:
    """Return the requested bytes as a half-open range. Raises `ApiError` (416)."""
    size = status.st_size
    whole = 0, size
    # Several ranges, and a malformed one, may be ignored (RFC 9110, section 14.2).
    asked = RANGE.fullmatch(request.headers.get("Range", "").replace(" ", ""))
    if asked is None or request.headers.get("If-Range", etag) not in {etag, http_date(status.st_mtime)}:
        return whole
    if not asked["first"]:
        if not asked["last"]:
            return whole
        first, last = max(0, size - int(asked["last"])), size
    else:
        first = int(asked["first"])
        last = min(size, int(asked["last"]) + 1) if asked["last"] else size
        if asked["last"] and int(asked["last"]) < first:
            return whole
    if first >= last:
        headers = {"Content-Range": f"bytes */{size}"}
        raise ApiError(416, "range_not_satisfiable", f"The file has {size} bytes.", headers=headers)
    return first, last


class _Content:
    """The iterator over a range of a file. The server calls `close` when it stops sending, at the end or before."""

    def __init__(self, handle: int, first: int, last: int, close: Callable[[], None]) -> None:
        self._handle = handle
        self._at = first
        self._last = last
        self._close: Callable[[], None] | None = close

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._at >= self._last:
            self.close()
            raise StopAsyncIteration
        block = await asyncio.to_thread(os.pread, self._handle, min(BLOCK_BYTES, self._last - self._at), self._at)
        if not block:
            # The declared length cannot be kept. The exception makes the server close the connection.
            raise OSError("The file was cut off while it was sent.")
        self._at += len(block)
        return block

    def close(self) -> None:
        if self._close is not None:
            self._close()
            self._close = None
