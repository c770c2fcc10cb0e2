"""A service on 127.0.0.1 that records its requests and plays scripted replies, down to the TCP segment."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Literal

import msgspec

Json = dict[str, Any]


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it arrived; `body` is its JSON, or None if it had none."""

    method: str
    target: str
    headers: dict[str, str]
    body: Any


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A reply; each of `pieces` is one write.

    After them it ends as HTTP does, is cut, or stays silent until the client disconnects.
    Without a `status` it is silent from the start. A `gate` is awaited after the first piece.
    """

    status: int | None = 200
    headers: dict[str, str] = {}
    pieces: Sequence[bytes] = ()
    ending: Literal["end", "cut", "silence"] = "end"
    gate: asyncio.Event | None = None


class FakeService:
    """A service that answers each request with the next reply. `disconnected` is set when a client leaves early."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[Recorded] = []
        self.disconnected = asyncio.Event()
        self._replies: list[Reply] = []

    def play(self, *replies: Reply) -> None:
        """Answer the next requests with these replies, in order."""
        self._replies.extend(replies)

    def reply_to(self, request: Recorded) -> Reply:
        return self._replies.pop(0)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.requests.append(await _request(reader))
            await self._answer(self.reply_to(self.requests[-1]), reader, writer)
        except ConnectionError:
            self.disconnected.set()
        finally:
            writer.close()

    async def _answer(self, reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if reply.status is not None:
            writer.write(_head(reply))
            for number, piece in enumerate(reply.pieces):
                if number == 1 and reply.gate is not None:
                    await reply.gate.wait()
                writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                await writer.drain()
        if reply.ending == "silence":
            await reader.read()
            self.disconnected.set()
        elif reply.ending == "end":
            writer.write(b"0\r\n\r\n")
            await writer.drain()


@asynccontextmanager
async def fake_service(fake: FakeService | None = None) -> AsyncIterator[FakeService]:
    """Start the service, which listens at its `url`."""
    fake = fake or FakeService()
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        fake.url = f"http://127.0.0.1:{port}"
        yield fake


async def _request(reader: asyncio.StreamReader) -> Recorded:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
    start, *lines = head.split("\r\n")[:-2]
    method, target, _ = start.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Recorded(method=method, target=target, headers=headers, body=json.loads(body) if body else None)


def _head(reply: Reply) -> bytes:
    status = reply.status or HTTPStatus.OK
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Other"
    headers = {
        "Content-Type": "application/json",
        "Transfer-Encoding": "chunked",
        "Connection": "close",
    } | reply.headers
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")
