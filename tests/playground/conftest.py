"""The playground in a browser, and a wire to the service that can be cut."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from playwright.async_api import Locator, Page, expect

from tests.access.conftest import make_key as make_key
from tests.browser import SECONDS
from tests.browser import open_page as open_page

expect.set_options(timeout=SECONDS * 1_000)


class Wire:
    """A proxy in front of a service. `cut` resets all connections; until `mend`, new ones are reset too."""

    def __init__(self, port: int) -> None:
        self.url = ""
        self._port = port
        self._is_cut = False
        self._writers: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        self._is_cut = True
        for writer in self._writers:
            writer.transport.abort()

    def mend(self) -> None:
        self._is_cut = False

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        upstream, service = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers |= {writer, service}
        with suppress(OSError):
            await asyncio.gather(_pump(reader, service), _pump(upstream, writer))
        self._writers -= {writer, service}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()
    finally:
        writer.transport.abort()


@asynccontextmanager
async def wired(url: str) -> AsyncIterator[Wire]:
    wire = Wire(int(url.rpartition(":")[2]))
    server = await asyncio.start_server(wire.forward, "127.0.0.1")
    wire.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield wire
    server.close()
    wire.cut()


async def visit(page: Page, url: str) -> None:
    """Open the playground, and wait until it has listed the models."""
    await page.goto(url)
    await expect(page.get_by_label("Model", exact=True)).to_have_value(re.compile(r"\["))


async def send(page: Page, message: str) -> None:
    await page.get_by_label("Message", exact=True).fill(message)
    await page.keyboard.press("Enter")


def answers(page: Page) -> Locator:
    return page.get_by_role("article", name="Answer")
