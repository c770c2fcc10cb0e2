"""The body of a request: read to its end within the limits of its size and of all unfinished bodies together."""

from collections.abc import Awaitable, Callable
from typing import Final

from orchestrator_site import conf
from orchestrator_site.http.asgi_types import Receive, Scope
from web.errors import ApiError
from web.headers import last

MAX_ANONYMOUS_BYTES: Final = 65_536
"""Bytes of a body that are read before the caller is identified, and of a form in the console."""


RECORDING_PATHS: Final = frozenset({"/speech/transcriptions", "/v1/audio/transcriptions"})
RECORDING_MARGIN_BYTES: Final = 65_536
"""Bytes of a form around its recording."""


def largest_body(path: str) -> int:
    """Return the maximum size of a body in bytes. A recording may be larger than other bodies."""
    most = conf.max_body_bytes()
    return max(most, conf.max_audio_bytes() + RECORDING_MARGIN_BYTES) if path in RECORDING_PATHS else most


class Disconnected(Exception):
    """The client went away before its request was complete."""


class _Unfinished:
    """Counts the bytes of all bodies of this process that are not complete."""

    def __init__(self) -> None:
        self._bytes = 0

    def add(self, size: int) -> None:
        """Count these bytes. Raises `ApiError` (503) if there are too many."""
        most = conf.max_unfinished_bytes()
        if self._bytes + size > most:
            error = f"The bodies of requests under way are larger than MAX_UNFINISHED_BYTES ({most} bytes) together."
            raise ApiError(503, "overloaded", error, headers={"Retry-After": "5"})
        self._bytes += size

    def remove(self, size: int) -> None:
        self._bytes -= size


_unfinished = _Unfinished()


async def read_body(scope: Scope, receive: Receive, most: int, identify: Callable[[], Awaitable[object]]) -> bytes:
    """Return the body. Await `identify` once before more than `MAX_ANONYMOUS_BYTES` of it are read.

    Raises `Disconnected`, `ApiError` (413, 503) and whatever `identify` raises.
    """
    # A declared length is refused before the body is read; a chunked body has none, so its parts are counted too.
    declared = last(scope["headers"], b"content-length")
    expected = int(declared) if declared.isdigit() else 0
    if expected > most:
        raise _too_large(most)
    is_identified = False
    parts: list[bytes] = []
    size = 0
    try:
        while True:
            if not is_identified and max(size, expected) > MAX_ANONYMOUS_BYTES:
                await identify()
                is_identified = True
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            part = message.get("body", b"")
            _unfinished.add(len(part))
            size += len(part)
            parts.append(part)
            if size > most:
                raise _too_large(most)
            if not message.get("more_body", False):
                return b"".join(parts)
    finally:
        _unfinished.remove(size)


def _too_large(most: int) -> ApiError:
    return ApiError(413, "body_too_large", f"The body is too large: at most {most} bytes are read.")
