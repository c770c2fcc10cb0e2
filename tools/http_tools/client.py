"""Requests to HTTP services: to checked addresses, without redirects and proxies, and bounded in time and size."""

import asyncio
import json
from typing import Any, Final

import msgspec

from tools.base import ToolError, ToolErrorCode
from tools.http_tools.requests import HttpRequest
from tools.http_tools.services import HttpService
from tools.web.connector import (
    Guard,
    Permitted,
    Resolve,
    is_public_elsewhere,
    local_addresses,
    open_session,
    system_addresses,
)
from tools.web.robots import PRODUCT

BLOCK_BYTES: Final = 16 * 1024
MAX_ERROR_CHARS: Final = 1_000
MAX_WAITING: Final = 64
"""Calls that wait until others of the same service have ended."""

ERRORS: Final = 400
"""The first of the statuses that say that a request failed."""

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
UNKNOWN: Final = " Whether the call had an effect is unknown, and it was not repeated."
CODES: Final[dict[int, ToolErrorCode]] = {
    400: "invalid_params",
    401: "denied",
    403: "denied",
    404: "not_found",
    409: "conflict",
    410: "not_found",
    413: "too_large",
    422: "invalid_params",
}


class HttpAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A successful answer. `body` is JSON, or a text; it is None if there is none, or if it is neither."""

    status: int
    content_type: str
    size: int
    body: Any = None


class HttpClient:
    """The client of one service. `resolve` and `permitted` are for services that are not private."""

    def __init__(
        self, service: HttpService, *, resolve: Resolve = system_addresses, permitted: Permitted = is_public_elsewhere
    ) -> None:
        self._service = service
        # The operator has named the host, so with `private` it may be anywhere.
        self._resolve = local_addresses if service.private else resolve
        self._permitted: Permitted = (lambda _: True) if service.private else permitted
        self._places = asyncio.Semaphore(service.max_parallel)
        self._waiting = 0

    async def send(self, request: HttpRequest) -> HttpAnswer:
        """Return the answer to a request, which is sent at most once. Raises `ToolError`."""
        name, seconds = self._service.name, self._service.total_seconds
        if self._waiting >= MAX_WAITING:
            raise ToolError(f"Too many calls of {name} wait already.", code="failed")
        is_sent = False
        try:
            async with asyncio.timeout(seconds):
                # Counted, because each call that waits holds a run.
                self._waiting += 1
                try:
                    await self._places.acquire()
                finally:
                    self._waiting -= 1
                try:
                    is_sent = True
                    return await self._exchange(request)
                finally:
                    self._places.release()
        except TimeoutError:
            unknown = UNKNOWN if is_sent and request.method not in SAFE else ""
            what = f"{name} did not answer within {seconds:g} s (total_seconds).{unknown}"
            raise ToolError(what, code="timed_out") from None

    async def _exchange(self, request: HttpRequest) -> HttpAnswer:
        import aiohttp  # noqa: PLC0415 - it takes 70 ms to load, and most processes never need it
        from yarl import URL  # noqa: PLC0415 - it comes with aiohttp

        name, guard = self._service.name, Guard(self._resolve, self._permitted)
        # Compressed answers could be far larger than the bytes that are counted.
        own = {"User-Agent": PRODUCT, "Accept": "application/json, text/*;q=0.8", "Accept-Encoding": "identity"}
        try:
            async with (
                open_session(guard) as session,
                session.request(
                    request.method,
                    URL(request.url, encoded=True),
                    data=request.body,
                    # The operator's fields come last, so they win in any spelling: no param replaces a credential.
                    headers={**own, **request.headers, **self._service.headers},
                    allow_redirects=False,
                ) as response,
            ):
                if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                    raise ToolError(f"{name} sent a compressed answer although that was not asked for.", code="failed")
                data = bytearray()
                async for block in response.content.iter_chunked(BLOCK_BYTES):
                    data += block
                    if len(data) <= self._service.max_result_bytes:
                        continue
                    if response.status >= ERRORS:
                        # The beginning of an error says enough.
                        break
                    done = "" if request.method in SAFE else " The call was made."
                    what = f"The answer of {name} has more than {self._service.max_result_bytes} bytes "
                    raise ToolError(f"{what}(max_result_bytes).{done}", code="too_large")
                kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
                return _answer(name, response.status, kind, bytes(data))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if isinstance(error, TimeoutError):
                raise
            if guard.has_refused:
                what = f"The host of {name} has an address that is not public; private = true in TOOLS_FILE allows it."
                raise ToolError(what, code="not_allowed") from None
            is_unsent = isinstance(error, aiohttp.ClientConnectorError)
            unknown = "" if is_unsent or request.method in SAFE else UNKNOWN
            # Only the kind of the error: its text may repeat what the service sent.
            what = f"The request to {name} failed ({type(error).__name__}).{unknown}"
            raise ToolError(what, code="interrupted" if unknown else "failed") from None


def _answer(name: str, status: int, kind: str, data: bytes) -> HttpAnswer:
    """Return an answer as data. Raises `ToolError` for a status that is not one of success."""
    body: Any = None
    if kind.endswith("json") and data:
        try:
            body = json.loads(data, parse_constant=str)
        except (ValueError, RecursionError):
            body = data.decode("utf-8", "replace")
    elif kind.startswith("text/") or kind.endswith("xml") or not kind:
        body = data.decode("utf-8", "replace") or None
    if 200 <= status < 300:
        return HttpAnswer(status=status, content_type=kind, size=len(data), body=body)
    if 300 <= status < 400:
        raise ToolError(f"{name} redirects (status {status}), and redirects are not followed.", code="failed")
    said = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False) if body is not None else ""
    shown = "".join(character if character.isprintable() else " " for character in said[:MAX_ERROR_CHARS]).strip()
    what = f"{name} answered with the status {status}{f': {shown}' if shown else ''}"
    raise ToolError(what if what.endswith(".") else f"{what}.", code=CODES.get(status, "failed"))
