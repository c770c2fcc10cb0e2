"""Debian's Chromium for tests of pages. Without it, or without the packages of npm, these tests are skipped."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import pytest
from playwright.async_api import ConsoleMessage, Page, async_playwright, expect

AXE: Final = Path(__file__).parents[1] / "examples" / "node_modules" / "axe-core" / "axe.min.js"
SECONDS: Final = 60
"""Seconds after which an expectation has failed, on a busy machine too."""

SIZES: Final = ((390, 844), (1_400, 900))
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
LOOPBACK: Final = {"127.0.0.1", "localhost", "::1", None}

expect.set_options(timeout=SECONDS * 1_000)

Open = Callable[..., Awaitable[Page]]
"""`await open_page(width=390, height=844, scheme="dark")` returns a new page in a browser profile of its own.

With `is_refused=True`, requests of the page may fail, which Chromium reports in the console.
"""
NOT_LOADED: Final = "Failed to load resource: "


@asynccontextmanager
async def opened_browser() -> AsyncIterator[Open]:
    """Start a browser, and close it at the end.

    Raise `AssertionError` if a page had an error in its console, or sent a request to another host.
    """
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("needs a browser: apt-get install chromium")
    problems: list[str] = []

    def watch(page: Page, *, is_refused: bool) -> None:
        def note(message: ConsoleMessage) -> None:
            if message.type == "error" and not (is_refused and message.text.startswith(NOT_LOADED)):
                problems.append(message.text)

        page.set_default_timeout(SECONDS * 1_000)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", note)
        page.on("request", lambda request: check_host(request.url))
        page.on("websocket", lambda socket: check_host(socket.url))

    def check_host(url: str) -> None:
        if urlsplit(url).hostname not in LOOPBACK:
            problems.append(f"request to another host: {url}")

    async with async_playwright() as playwright:
        # Chromium has no sandbox of its own for root. The fake devices give a microphone without asking.
        arguments = ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
        chromium = await playwright.chromium.launch(executable_path=program, args=arguments)

        async def open_page(
            width: int = 1_400, height: int = 900, scheme: Any = "light", *, is_refused: bool = False
        ) -> Page:
            page = await chromium.new_page(
                viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
            )
            watch(page, is_refused=is_refused)
            return page

        yield open_page
        await chromium.close()
    assert problems == []


@pytest.fixture
async def open_page() -> AsyncIterator[Open]:
    async with opened_browser() as opener:
        yield opener


async def serious_findings(page: Page) -> list[str]:
    """Return the findings of axe-core on a page that it calls serious or critical."""
    if not AXE.is_file():
        pytest.skip("needs the packages of npm: npm ci --prefix examples")
    # The page's own policy allows no script in its source.
    await page.evaluate(AXE.read_text(encoding="utf-8"))
    found = await page.evaluate("() => axe.run(document, {resultTypes: ['violations'], preload: false})")
    return [
        f"{each['id']} ({each['impact']}): {node['html'][:200]}"
        for each in found["violations"]
        if each["impact"] in {"serious", "critical"}
        for node in each["nodes"]
    ]
