"""A proxy in front of a service that resets its connections midway."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec

END_OF_FRAME: Final = b"\n\n"


class Frames(msgspec.Struct, frozen=True):
    """A cut after this many frames of the response body."""

    count: int


NO_RESPONSE: Final = Frames(-1)
"""The service gets the request, and its response is lost."""

ONE_RESPONSE: Final = Frames(-2)
"""The connection brings one response, and the next one is lost."""


@asynccontextmanager
async def cutting(url: str, *after: int | Frames | None) -> AsyncIterator[str]:
    """Run the proxy. It resets its n-th connection `after[n]` bytes or frames into the response body."""
    cuts = iter(after)
    port = int(url.rpartition(":")[2])
    forwarding: set[asyncio.Task[None]] = set()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cut = next(cuts, None)
        upstream, to_service = await asyncio.open_connection("127.0.0.1", port)
        asking = asyncio.create_task(_pump(reader, to_service))
        try:
            head = await upstream.readuntil(b"\r\n\r\n")
            if cut != NO_RESPONSE:
                writer.write(head)
                await _pump(upstream, writer, cut)
        finally:
            asking.cancel()
            to_service.transport.abort()
            writer.transport.abort()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        forwarding.add(asyncio.create_task(forward(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1")
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    for task in forwarding:
        task.cancel()
    await asyncio.gather(*forwarding, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cut: int | Frames | None = None) -> None:
    """Pass data on, up to the cut."""
    sent = frames = 0
    while (sent < cut) if isinstance(cut, int) else (cut in {None, ONE_RESPONSE} or frames < cut.count):
        data = await reader.read(cut - sent if isinstance(cut, int) else 2**16)
        if not data or (cut == ONE_RESPONSE and data.startswith(b"HTTP/1.1 ")):
            break
        if cut != ONE_RESPONSE and isinstance(cut, Frames):
            parts = data.split(END_OF_FRAME)
            passed = parts[: cut.count - frames]
            frames += len(parts) - 1
            data = data if len(passed) == len(parts) else END_OF_FRAME.join([*passed, b""])
        sent += len(data)
        writer.write(data)
        await writer.drain()
