"""The real packages of clients: those of npm, and a browser. Without them, the tests are skipped with a reason."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import Page

from tests.browser import SECONDS, opened_browser
from tests.conftest import Api

EXAMPLES: Final = Path(__file__).parents[2] / "examples"
MODULES: Final = EXAMPLES / "node_modules"
Run = Callable[..., Awaitable[str]]


def npm() -> None:
    """Skip the test if the packages of npm are not installed."""
    if not MODULES.is_dir() or shutil.which("node") is None:
        pytest.skip("needs the packages of npm: npm ci --prefix examples")


async def run(api: Api, *command: str, **environment: str) -> str:
    """Run a program in `examples` against the service, and return its output. Raise `AssertionError` if it fails."""
    names = {"python": sys.executable, "bash": "bash", "node": "node"}
    process = await asyncio.create_subprocess_exec(
        names.get(command[0], command[0]),
        *command[1:],
        cwd=EXAMPLES,
        env={"PATH": os.environ["PATH"], "BASE_URL": api.base_url, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(SECONDS):
            output, problems = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, problems.decode()
    return output.decode()


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """Return a page of Debian's Chromium. An error in its console fails the test."""
    async with opened_browser() as open_page:
        yield await open_page()


async def bundled(source: str, target: Path) -> None:
    """Bundle a page of `examples` for the browser."""
    npm()
    process = await asyncio.create_subprocess_exec(
        MODULES / ".bin" / "esbuild", source, "--bundle", "--jsx=automatic", f"--outfile={target}", "--log-level=error",
        cwd=EXAMPLES,
    )  # fmt: skip
    assert await process.wait() == 0


async def serve(page: Page, api: Api, files: dict[str, Path]) -> str:
    """Serve files to the browser at paths of the service's own origin, and return the origin."""

    async def answer(route: Any) -> None:
        name = route.request.url.removeprefix(f"{api.base_url}/page/").partition("?")[0]
        await route.fulfill(path=files[name or "index.html"])

    await page.route(f"{api.base_url}/page/**", answer)
    return f"{api.base_url}/page/"
