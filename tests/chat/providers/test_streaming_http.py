"""HTTP connections to a misbehaving service, over a real socket.

Covers `chat.providers.http_provider`.
"""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from chat.providers import streaming_http
from chat.providers.streaming_http import BrokenConnection, Connections

Play = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Service:
    """A service that answers by `play`. `opened` counts its connections, `requests` keeps its requests."""

    def __init__(self, play: Play) -> None:
        self.opened = 0
        self.requests: list[bytes] = []
        self.url = ""
        self._play = play

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(size))
                await self._play(reader, writer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(play: Play) -> AsyncIterator[tuple[Service, Connections]]:
    service = Service(play)
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    async with server:
        service.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/chat"
        opened = Connections(service.url, {"X-Key": "100%"}, connect_seconds=5)
        yield service, opened
        opened.close()


def sending(*pieces: bytes, close: bool = False) -> Play:
    async def play(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if close:
            writer.close()

    return play


async def whole(opened: Connections, body: bytes = b"{}") -> bytes:
    answer = await opened.post(body)
    try:
        parts = []
        while part := await answer.read():
            parts.append(part)
        return b"".join(parts)
    finally:
        answer.close()


async def test_request_is_well_formed() -> None:
    async with serving(sending(HEAD, b"0\r\n\r\n")) as (service, opened):
        assert await whole(opened, b'{"a": 1}') == b""
        start, *lines = service.requests[0].split(b"\r\n")
        assert start == b"POST /v1/chat HTTP/1.1"
        assert b"Host: " + service.url.split("/")[2].encode() in lines
        assert b"X-Key: 100%" in lines
        assert lines[-1] == b'{"a": 1}'


async def test_connection_is_reused() -> None:
    async with serving(sending(HEAD, b"5\r\nhello\r\n0\r\n\r\n")) as (service, opened):
        for _ in range(5):
            assert await whole(opened) == b"hello"
        assert (service.opened, len(service.requests)) == (1, 5)


async def test_concurrent_requests_have_a_connection_each() -> None:
    async with serving(sending(HEAD, b"5\r\nhello\r\n0\r\n\r\n")) as (service, opened):
        assert await asyncio.gather(*(whole(opened) for _ in range(20))) == [b"hello"] * 20
        assert service.opened == 20


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1_000])
async def test_response_is_complete_however_it_is_segmented(answer: bytes, size: int) -> None:
    pieces = [answer[at : at + size] for at in range(0, len(answer), size)]
    async with serving(sending(*pieces)) as (_, opened):
        assert await whole(opened) == b"hello"


async def test_response_without_a_length_ends_with_its_connection() -> None:
    async with serving(sending(b"HTTP/1.1 200 OK\r\n\r\nhello", close=True)) as (service, opened):
        assert await whole(opened) == b"hello"
        assert await whole(opened) == b"hello"
        assert service.opened == 2


@pytest.mark.parametrize(
    "pieces",
    [
        [b"SSH-2.0-OpenSSH\r\n"],
        [b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"],
        [HEAD, b"zz\r\n"],
        [HEAD, b"5\r\nhel"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"],
        [b""],
    ],
    ids=["not HTTP", "an endless head", "a bad chunk", "a cut chunk", "a cut length", "nothing"],
)
async def test_incomplete_response_is_a_broken_connection(pieces: list[bytes]) -> None:
    async with serving(sending(*pieces, close=True)) as (_, opened):
        with pytest.raises(BrokenConnection):
            await whole(opened)


@pytest.mark.parametrize("headers", [b"Content-Encoding: gzip\r\n", b""], ids=["as announced", "without a word"])
@pytest.mark.parametrize("size", [1, 1_000])
async def test_compressed_response_is_expanded(headers: bytes, size: int) -> None:
    body = gzip.compress(b"hello " * 99)
    answer = b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (headers, len(body), body)
    pieces = [answer[at : at + size] for at in range(0, len(answer), size)]
    async with serving(sending(*pieces)) as (_, opened):
        assert await whole(opened) == b"hello " * 99


@pytest.mark.parametrize(
    "body",
    [gzip.compress(b"x" * 9_000_000), b"\x1f\x8bnonsense", b"hello"],
    ids=["a bomb", "not gzip", "not compressed"],
)
async def test_compressed_response_that_cannot_be_expanded_is_broken(body: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with serving(sending(head + body)) as (_, opened):
        with pytest.raises(BrokenConnection):
            await whole(opened)


async def test_abort_is_not_the_end_of_a_response_without_a_length() -> None:
    async with serving(sending(b"HTTP/1.1 200 OK\r\n\r\nhello")) as (_, opened):
        answer = await opened.post(b"{}")
        assert await answer.read() == b"hello"
        reading = asyncio.ensure_future(answer.read())
        await asyncio.sleep(0)
        answer.abort()
        with pytest.raises(BrokenConnection):
            await reading


async def test_abandoned_response_closes_its_connection() -> None:
    gone = asyncio.Event()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"5\r\nhello\r\n")
        await reader.read()
        gone.set()

    async with serving(play) as (_, opened):
        answer = await opened.post(b"{}")
        assert await answer.read() == b"hello"
        answer.close()
        async with asyncio.timeout(5):
            await gone.wait()


async def test_slow_reader_applies_backpressure_to_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming_http, "MAX_PENDING_BYTES", 1_000)
    chunk = b"%x\r\n%b\r\n" % (60_000, b"x" * 60_000)
    async with serving(sending(HEAD, *[chunk] * 100, b"0\r\n\r\n")) as (_, opened):
        answer = await opened.post(b"{}")
        while not answer._connection._paused:
            await asyncio.sleep(0)
        held = answer._connection.response.pending_bytes
        for _ in range(50):
            await asyncio.sleep(0)
        assert answer._connection.response.pending_bytes == held
        rest = 0
        while part := await answer.read():
            rest += len(part)
        assert rest == 6_000_000
        answer.close()


async def test_idle_connection_that_the_service_closed_is_not_reused() -> None:
    async with serving(sending(HEAD, b"0\r\n\r\n", close=True)) as (service, opened):
        await whole(opened)
        async with asyncio.timeout(5):
            while opened._idle:
                await asyncio.sleep(0)
        assert await whole(opened) == b""
        assert service.opened == 2


async def test_refused_connection_is_a_broken_connection() -> None:
    with pytest.raises(BrokenConnection, match="no connection to"):
        await Connections("http://127.0.0.1:9/", {}, connect_seconds=5).post(b"")


def test_header_with_a_line_break_is_rejected() -> None:
    with pytest.raises(ValueError, match="line break"):
        Connections("http://127.0.0.1/", {"X": "a\r\nb"}, connect_seconds=1)
