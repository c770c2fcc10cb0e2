"""Servers on loopback: one that plays a public site, and others inside, which must never be reached."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

from tools.web.addresses import is_public

PUBLIC: Final = "127.0.0.2"
"""The address that tests permit, in the place of one of the Internet."""

Play = Callable[[asyncio.StreamWriter], Awaitable[None]]
Answer = bytes | Play


def permitted(address: str) -> bool:
    """Return whether a test may connect to an address: the public site's, and otherwise as always."""
    return address == PUBLIC or is_public(address)


def answer(
    body: bytes = b"", kind: str = "text/plain", status: str = "200 OK", length: int | None = None, **headers: str
) -> bytes:
    """Return an answer in HTTP/1.1."""
    lines = [f"HTTP/1.1 {status}", "Connection: close", f"Content-Length: {len(body) if length is None else length}"]
    lines += [f"Content-Type: {kind}"] * bool(kind)
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def redirect(location: str, status: str = "302 Found") -> bytes:
    return answer(status=status, Location=location)


MISSING: Final = answer(status="404 Not Found")


class Site:
    """A server. `pages` are its answers by path; `requests` are the heads that it received."""

    def __init__(self) -> None:
        self.pages: dict[str, Answer] = {}
        self.requests: list[str] = []
        self.connections = 0
        self.open = 0
        self.most_open = 0
        self.port = 0
        self._tasks: set[asyncio.Task[None] | None] = set()

    @property
    def paths(self) -> list[str]:
        return [head.split(" ", 2)[1] for head in self.requests]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        self._tasks.add(asyncio.current_task())
        # A task of a stream that is seen to be cancelled would be logged.
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.requests.append(head)
            found = self.pages.get(head.split(" ", 2)[1], MISSING)
            if isinstance(found, bytes):
                writer.write(found)
                await writer.drain()
            else:
                await found(writer)
        self.open -= 1
        writer.close()

    async def end(self) -> None:
        """End the answers that have not ended."""
        tasks = [task for task in self._tasks if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def site(host: str, port: int = 0) -> AsyncIterator[Site]:
    made = Site()
    server = await asyncio.start_server(made.serve, host, port)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.end()


class Names:
    """A name server. Each host has the addresses of its next answer; the last answer stays."""

    def __init__(self, answers: Mapping[str, Sequence[Sequence[str]]]) -> None:
        self._answers = {host: list(found) for host, found in answers.items()}
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        found = self._answers.get(host)
        if not found:
            raise OSError(f"{host} is unknown")
        return found.pop(0) if len(found) > 1 else found[0]
