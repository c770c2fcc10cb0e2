"""The rules of web sites for programs: `robots.txt` (RFC 9309)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from protego import Protego

from tools.base import ToolError
from tools.web.kept import Kept
from tools.web.urls import WebUrl

PRODUCT: Final = "orchestrator-service"
"""The name of this program, in `robots.txt` and as the user agent."""

MAX_ROBOTS_BYTES: Final = 512 * 1024
MAX_SITES: Final = 64
MAX_KEPT_BYTES: Final = 4 * 1024 * 1024
KEPT_SECONDS: Final = 3_600.0

ReadFile = Callable[[str], Awaitable[tuple[int, bytes]]]
"""Returns the status and the content of a URL. Raises `ToolError`."""


class Robots:
    """The rules of the sites that were asked lately. `read` fetches a file."""

    def __init__(self, read: ReadFile, clock: Callable[[], float]) -> None:
        self._read = read
        self._kept: Kept[str] = Kept(max_values=MAX_SITES, max_bytes=MAX_KEPT_BYTES, seconds=KEPT_SECONDS, clock=clock)

    async def allow(self, url: WebUrl) -> bool:
        """Return whether a site allows a URL. Raises `ToolError` if the guard refuses the site, or time is up."""
        rules = self._kept.get((url.origin, ""))
        if rules is None:
            rules = await self._rules(url)
            self._kept.put((url.origin, ""), rules, len(rules) + 1)
        # Half a megabyte takes a moment to parse.
        return not rules or await asyncio.to_thread(_allows, rules, url.text)

    def has_rules(self, url: WebUrl) -> bool:
        """Return whether the site of a URL that was allowed has any rules."""
        return bool(self._kept.get((url.origin, "")))

    async def _rules(self, url: WebUrl) -> str:
        status, data = await self._read(f"{url.origin}/robots.txt")
        # RFC 9309, 2.3.1: a missing file allows everything, a fault of the server nothing.
        if status == 429 or status >= 500:
            raise ToolError(
                f"The robots.txt of {url.host} cannot be read (status {status}), so it is unknown whether it allows "
                "this page. Try again later.",
                code="failed",
            )
        return data.decode("utf-8", "replace") if 200 <= status < 300 else ""


def _allows(rules: str, url: str) -> bool:
    return bool(Protego.parse(rules).can_fetch(url, PRODUCT))
