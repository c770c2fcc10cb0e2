"""Fetch a URL of the web through the guard, within bounds of time, size, type and redirects."""

import asyncio
import ssl
import time
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from tools.base import ToolError, ToolErrorCode
from tools.web.connector import Guard, Permitted, Resolve, is_public_elsewhere, open_session, system_addresses
from tools.web.contents import Body, ContentType, content_type
from tools.web.robots import MAX_ROBOTS_BYTES, PRODUCT, Robots
from tools.web.settings import FetchLimits
from tools.web.urls import AllowedHosts, WebUrl, parse_url, redirected

BLOCK_BYTES: Final = 16 * 1024
MAX_REDIRECTS: Final = 5
MAX_FETCHES: Final = 8
"""Fetches at the same time, of all callers of a process. Others wait within their time."""

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
NOT_FOUND: Final = frozenset({404, 410})
HEADERS: Final = {
    "User-Agent": PRODUCT,
    "Accept": "text/html,application/xhtml+xml,text/markdown,text/plain,application/json;q=0.9,*/*;q=0.5",
    "Accept-Encoding": "gzip, deflate",
}


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a URL. If it `is_truncated`, there are more bytes than the limit."""

    url: WebUrl
    type: ContentType
    data: bytes
    is_truncated: bool
    has_robots: bool


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer to one request. A redirect and an error have no `data`."""

    status: int
    location: str = ""
    content_type: str = ""
    data: bytes = b""
    is_truncated: bool = False


class Fetches(Protocol):
    """Fetches URLs."""

    async def fetch(self, text: str) -> Fetched:
        """Return the content of a URL. Raises `ToolError`."""
        ...


class Fetcher:
    """Fetches URLs of the web. `resolve`, `permitted` and `tls` are the machine's own unless they are given."""

    def __init__(
        self,
        hosts: AllowedHosts,
        limits: FetchLimits,
        *,
        resolve: Resolve = system_addresses,
        permitted: Permitted = is_public_elsewhere,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hosts = hosts
        self._limits = limits
        self._resolve = resolve
        self._permitted = permitted
        self._tls = tls
        self._places = asyncio.Semaphore(MAX_FETCHES)
        self._robots = Robots(self._robots_file, clock)

    async def fetch(self, text: str) -> Fetched:
        """Return the content of a URL.

        Raises `ToolError` (`invalid_params`, `not_allowed`, `not_found`, `timed_out`, `failed`).
        """
        url = parse_url(text, self._hosts)
        try:
            async with asyncio.timeout(self._limits.max_seconds), self._places:
                return await self._fetch(url)
        except TimeoutError:
            error = f"{url.host} did not send the page within {self._limits.max_seconds:g} s."
            raise ToolError(error, code="timed_out") from None

    async def _fetch(self, url: WebUrl) -> Fetched:
        for _ in range(MAX_REDIRECTS + 1):
            if not await self._robots.allow(url):
                raise ToolError(f"The robots.txt of {url.host} does not allow this page.", code="not_allowed")
            answer = await self._request(url, self._limits.max_bytes)
            if answer.status not in REDIRECTS:
                break
            url = redirected(url, answer.location, self._hosts)
        else:
            raise ToolError(f"{url.host} redirects more than {MAX_REDIRECTS} times.", code="failed")
        if not 200 <= answer.status < 300:
            code: ToolErrorCode = "not_found" if answer.status in NOT_FOUND else "failed"
            raise ToolError(f"{url.host} answered with the status {answer.status}.", code=code)
        return Fetched(
            url=url,
            type=content_type(answer.content_type),
            data=answer.data,
            is_truncated=answer.is_truncated,
            has_robots=self._robots.has_rules(url),
        )

    async def _robots_file(self, text: str) -> tuple[int, bytes]:
        """Return the status and the content of a `robots.txt`; 404 if redirects lead to no such file."""
        url = parse_url(text, self._hosts)
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._request(url, MAX_ROBOTS_BYTES)
            if answer.status not in REDIRECTS:
                return answer.status, answer.data
            try:
                url = redirected(url, answer.location, self._hosts)
            except ToolError:
                break
        return 404, b""

    async def _request(self, url: WebUrl, max_bytes: int) -> Answer:
        """Return the answer to one request, without following redirects. Raises `ToolError`."""
        import aiohttp  # noqa: PLC0415 - it takes 70 ms to load, and most processes never need it
        from yarl import URL  # noqa: PLC0415 - it comes with aiohttp

        guard = Guard(self._resolve, self._permitted)
        try:
            async with (
                open_session(guard, self._tls) as session,
                session.get(URL(url.text, encoded=True), headers=HEADERS, allow_redirects=False) as response,
            ):
                kind = response.headers.get("Content-Type", "")
                if response.status in REDIRECTS:
                    return Answer(status=response.status, location=response.headers.get("Location", ""))
                if not 200 <= response.status < 300:
                    return Answer(status=response.status)
                body, received = Body(response.headers.get("Content-Encoding", ""), max_bytes), 0
                async for block in response.content.iter_chunked(BLOCK_BYTES):
                    received += len(block)
                    body.add(block)
                    if body.is_full or received > max_bytes:
                        break
                else:
                    return Answer(status=response.status, content_type=kind, data=bytes(body.data))
                return Answer(status=response.status, content_type=kind, data=bytes(body.data), is_truncated=True)
        except TimeoutError:
            raise ToolError(f"{url.host} did not answer in time.", code="timed_out") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if guard.has_refused:
                raise ToolError(
                    f"{url.host} has an address that is not public, which is not connected to.", code="not_allowed"
                ) from None
            # The text of such an error may repeat what the host sent.
            raise ToolError(f"The request to {url.host} failed: {type(error).__name__}.", code="failed") from None
