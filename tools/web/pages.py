"""Pages of the web as text, kept for a while so that reading on does not fetch them again."""

import hashlib
import time
from collections.abc import Callable
from typing import Final, Literal, Protocol

import msgspec

from retrieval.base import DocumentError
from tools.base import ToolError
from tools.web.contents import decoded
from tools.web.fetching import Fetched, Fetches
from tools.web.kept import Kept

MIB: Final = 1024 * 1024
MAX_PAGES: Final = 64
MAX_KEPT_BYTES: Final = 16 * MIB
KEPT_SECONDS: Final = 300.0
MAX_TITLE: Final = 300


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page. `text` is UTF-8; `sha256` is that of the content as it was received."""

    url: str
    title: str
    content_type: str
    text: bytes
    sha256: str
    is_truncated: bool
    has_robots: bool


class Converter(Protocol):
    """Converts documents to text."""

    async def text(self, kind: Literal["html", "pdf"], data: bytes, url: str = "") -> tuple[str, str]:
        """Return the title and the text of a document. `data` of HTML is UTF-8. Raises `DocumentError`."""
        ...


class Pages:
    """Reads pages of the web."""

    def __init__(self, fetcher: Fetches, converter: Converter, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetcher = fetcher
        self._converter = converter
        self._kept: Kept[Page] = Kept(max_values=MAX_PAGES, max_bytes=MAX_KEPT_BYTES, seconds=KEPT_SECONDS, clock=clock)

    async def page(self, owner: str, url: str) -> Page:
        """Return a page, as the owner read it lately if that is kept. Raises `ToolError`."""
        # Owners share nothing, so that no one learns what another one has read.
        page = self._kept.get((owner, url))
        if page is None:
            page = await self._converted(await self._fetcher.fetch(url))
            self._kept.put((owner, url), page, len(page.text) + len(url))
        return page

    async def _converted(self, fetched: Fetched) -> Page:
        kind, title = fetched.type, ""
        try:
            if kind.form == "pdf":
                if fetched.is_truncated:
                    raise ToolError("The PDF file is larger than WEB_MAX_BYTES.", code="too_large")
                title, text = await self._converter.text("pdf", fetched.data)
            else:
                text = decoded(fetched.data, kind.charset, is_html=kind.form == "html")
                if kind.form == "html":
                    title, text = await self._converter.text("html", text.encode(), fetched.url.text)
        except DocumentError as error:
            raise ToolError(f"The content of {fetched.url.host} cannot be read. {error}", code="failed") from None
        return Page(
            url=fetched.url.text,
            title=" ".join(title.split())[:MAX_TITLE],
            content_type=kind.name,
            text=text.encode("utf-8", "replace"),
            sha256=hashlib.sha256(fetched.data).hexdigest(),
            is_truncated=fetched.is_truncated,
            has_robots=fetched.has_robots,
        )
