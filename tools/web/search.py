"""Web searches through a configured provider: SearXNG, Brave or Tavily."""

import html
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal

import msgspec

from access.network.outgoing_proxy import outgoing_proxy
from tools.base import ToolError, ToolErrorCode
from tools.web.robots import PRODUCT
from web.urls import endpoint

SearchProvider = Literal["searxng", "brave", "tavily"]

MAX_RESULTS: Final = 20
MAX_ANSWER_BYTES: Final = 2 * 1024 * 1024
BLOCK_BYTES: Final = 64 * 1024
MAX_TITLE: Final = 300
MAX_SNIPPET: Final = 1_000
MAX_URL: Final = 2_000
CODES: Final[Mapping[int, ToolErrorCode]] = {401: "denied", 403: "denied", 422: "invalid_params"}
REASONS: Final = {
    401: "check WEB_SEARCH_API_KEY",
    403: "check WEB_SEARCH_API_KEY, and that SearXNG has json among its formats",
    402: "the plan of WEB_SEARCH_API_KEY is used up",
    429: "too many searches; try again later",
    432: "the plan of WEB_SEARCH_API_KEY is used up",
}


def search_provider(text: str) -> SearchProvider | None:
    """Parse the name of a provider, which may be empty. Raises `ValueError` with the valid values."""
    name = text.lower()
    if name and name not in VENDORS:
        raise ValueError(f"choose one of {', '.join(VENDORS)}, or leave it empty")
    return msgspec.convert(name, SearchProvider) if name else None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A result of a search."""

    title: str
    url: str
    snippet: str


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request to a provider. Its key is only in `headers`."""

    url: str
    headers: Mapping[str, str]
    body: bytes | None = None


class Vendor(msgspec.Struct, frozen=True, kw_only=True):
    """The interface of a provider: its own address, if it has one, its request, and the results in its answer."""

    url: str
    request: Callable[[str, str, str, int], Request]
    results: Callable[[Any], Any]
    snippet: str


def _searxng(base: str, key: str, query: str, count: int) -> Request:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return Request(url=endpoint(base, "/search", {"q": query, "format": "json"}), headers=headers)


def _brave(base: str, key: str, query: str, count: int) -> Request:
    values = {"q": query, "count": str(count), "text_decorations": "false"}
    return Request(url=endpoint(base, "/res/v1/web/search", values), headers={"X-Subscription-Token": key})


def _tavily(base: str, key: str, query: str, count: int) -> Request:
    return Request(
        url=endpoint(base, "/search"),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        body=msgspec.json.encode({"query": query, "max_results": count}),
    )


VENDORS: Final[Mapping[SearchProvider, Vendor]] = {
    "searxng": Vendor(url="", request=_searxng, results=lambda data: data["results"], snippet="content"),
    "brave": Vendor(
        url="https://api.search.brave.com",
        request=_brave,
        # An answer without any result has no `web`.
        results=lambda data: data.get("web", {"results": []})["results"],
        snippet="description",
    ),
    "tavily": Vendor(
        url="https://api.tavily.com", request=_tavily, results=lambda data: data["results"], snippet="content"
    ),
}


class SearchService:
    """A provider of searches. The service trusts its address, which comes from the settings."""

    def __init__(self, provider: SearchProvider, url: str, key: str, max_seconds: float) -> None:
        self.provider = provider
        self._vendor = VENDORS[provider]
        self._url = url or self._vendor.url
        self._key = key
        self._max_seconds = max_seconds

    @property
    def missing(self) -> str:
        """The reason why no search can be made, or an empty text."""
        if not self._url:
            return "WEB_SEARCH_URL must be set"
        return "WEB_SEARCH_API_KEY must be set" if self._vendor.url and not self._key else ""

    async def search(self, query: str, count: int) -> list[Found]:
        """Return at most `count` results.

        Raises `ToolError` (`denied`, `failed`, `invalid_params`, `timed_out`), without the query and the key.
        """
        request = self._vendor.request(self._url, self._key, query, count)
        status, data = await self._answer(request)
        if status != 200:
            reason = f": {REASONS[status]}" if status in REASONS else ""
            raise ToolError(
                f"The search with {self.provider} failed with the status {status}{reason}.",
                code=CODES.get(status, "failed"),
            )
        try:
            results = self._vendor.results(msgspec.json.decode(data))
            return list(_results(results, self._vendor.snippet))[:count]
        except (msgspec.DecodeError, AttributeError, KeyError, TypeError, RecursionError):
            raise ToolError(f"The answer of {self.provider} cannot be read.", code="failed") from None

    async def _answer(self, request: Request) -> tuple[int, bytes]:
        import aiohttp  # noqa: PLC0415 - it takes 70 ms to load, and most processes never need it

        data = bytearray()
        try:
            async with (
                aiohttp.ClientSession(
                    timeout=aiohttp.ClientTimeout(self._max_seconds),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    trust_env=False,
                ) as session,
                session.request(
                    "GET" if request.body is None else "POST",
                    request.url,
                    data=request.body,
                    headers={"Accept": "application/json", "User-Agent": PRODUCT, **request.headers},
                    # A key must not follow a redirect.
                    allow_redirects=False,
                    proxy=outgoing_proxy(request.url),
                ) as response,
            ):
                async for block in response.content.iter_chunked(BLOCK_BYTES):
                    data += block
                    if len(data) > MAX_ANSWER_BYTES:
                        raise ToolError(f"The answer of {self.provider} is too large.", code="failed")
                return response.status, bytes(data)
        except TimeoutError:
            raise ToolError(
                f"{self.provider} did not answer within {self._max_seconds:g} s.", code="timed_out"
            ) from None
        # The text of such an error may repeat the URL with the query.
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ToolError(f"The request to {self.provider} failed: {type(error).__name__}.", code="failed") from None


def _results(results: Any, snippet: str) -> Iterable[Found]:
    """Yield the results that have the URL of a web page, and leave out the others."""
    for result in results:
        url = result.get("url")
        if isinstance(url, str) and url.startswith(("http://", "https://")) and len(url) <= MAX_URL:
            yield Found(
                title=_text(result.get("title"), MAX_TITLE), url=url, snippet=_text(result.get(snippet), MAX_SNIPPET)
            )


def _text(value: Any, max_chars: int) -> str:
    return html.unescape(value[:max_chars]) if isinstance(value, str) else ""
