"""Limits of connections: what a client may send before its request is answered, and how long it may take.

Covers `orchestrator_site.conf`, `orchestrator_site.http.deadlines`, `orchestrator_site.http.request_body`,
`orchestrator_site.http.uvicorn_protocol`, `orchestrator_site.http.socket_protocol`.
"""

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from chat.engine.model_port import Finished
from chat.providers.scripted import Scripted, text
from orchestrator_site.http import uvicorn_protocol
from orchestrator_site.http.request_body import MAX_ANONYMOUS_BYTES
from orchestrator_site.http.uvicorn_protocol import HttpProtocol
from tests.conftest import Api, Start

STOP = Finished(reason="stop")
HEAD = b"Host: 127.0.0.1\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\n" + HEAD + b"\r\n"
SECONDS = 20


@asynccontextmanager
async def connected(api: Api) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(api.base_url.rpartition(":")[2]))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def replies(api: Api, *pieces: bytes) -> bytes:
    """Send the pieces, and return all that is received until the server closes the connection."""
    async with connected(api) as (reader, writer), asyncio.timeout(SECONDS):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return await reader.read()


async def send_without_end(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0)


async def test_requests_sent_ahead_are_answered_in_order(start: Start) -> None:
    api = await start(Scripted())
    last = b"GET /healthz HTTP/1.1\r\n" + HEAD + b"Connection: close\r\n\r\n"
    answers = await replies(api, b"GET /nothing HTTP/1.1\r\n" + HEAD + b"\r\n" + HEALTH * 300 + last)
    assert answers.startswith(b"HTTP/1.1 404 ")
    assert answers.count(b"HTTP/1.1 200 OK") == 301


async def test_requests_far_ahead_are_not_read(start: Start) -> None:
    api = await start(Scripted())
    async with connected(api) as (_, writer):
        writer.transport.pause_reading()
        writer.write(HEALTH * 1_000_000)
        size = writer.transport.get_write_buffer_size()
        for _ in range(50):
            await api.get("/healthz")
        # What the two sockets hold is a few MiB; the service has read no more than that.
        assert writer.transport.get_write_buffer_size() > size - 16 * 2**20


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /healthz HT",
        b"GET /healthz HTTP/1.1\r\nHost: 127",
        b"POST /chat/stream HTTP/1.1\r\n" + HEAD + b"Content-Length: 100\r\n\r\n{",
        b"POST /admin/login/ HTTP/1.1\r\n" + HEAD + b"Content-Length: 100\r\n\r\na",
        b"POST /chat/stream HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
        HEALTH + b"GET /he",
    ],
)
async def test_request_that_does_not_end_is_closed_with_408(start: Start, settings: Any, sent: bytes) -> None:
    settings.REQUEST_HEAD_SECONDS = settings.REQUEST_BODY_SECONDS = 0.2
    api = await start(Scripted())
    answer = await replies(api, sent)
    last = answer.rpartition(b"HTTP/1.1 ")[2]
    assert last.startswith(b"408 ")
    assert b'"code":"request_timeout"' in last


async def test_head_in_slow_pieces_does_not_extend_its_time(start: Start, settings: Any) -> None:
    settings.REQUEST_HEAD_SECONDS = 0.3
    api = await start(Scripted())
    async with connected(api) as (reader, writer), asyncio.timeout(SECONDS):
        writer.write(b"GET /")
        reading = asyncio.create_task(reader.read())
        while not reading.done():
            writer.write(b"a")
            await asyncio.sleep(0.05)
        # The pieces after the answer reset the connection, and may take the answer with them.
        with suppress(ConnectionError):
            assert (await reading).startswith(b"HTTP/1.1 408 ")


async def test_connections_of_a_process_are_bounded(start: Start, settings: Any) -> None:
    settings.MAX_CONNECTIONS = 1
    api = await start(Scripted())
    await api.get("/healthz")
    answer = await replies(api)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: 5\r\n" in answer
    assert b"MAX_CONNECTIONS" in answer


@pytest.mark.parametrize("framing", [b"Content-Length: 10000000", b"Transfer-Encoding: chunked"])
async def test_long_body_is_not_read_without_a_key(start: Start, settings: Any, framing: bytes) -> None:
    settings.REQUEST_HEAD_SECONDS = 0.2
    settings.API_KEY, settings.ALLOWED_HOSTS = "a-key-for-this-test", ["127.0.0.1"]
    api = await start(Scripted())
    chunk = b"%x\r\n%b\r\n" % (MAX_ANONYMOUS_BYTES, b" " * MAX_ANONYMOUS_BYTES)
    head = b"POST /chat/stream HTTP/1.1\r\nContent-Type: application/json\r\n" + HEAD + framing + b"\r\n\r\n"
    answer = await replies(api, head, *([chunk] * 2 if b"chunked" in framing else []))
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("size", [100_000, MAX_ANONYMOUS_BYTES + 4 * 2**20])
async def test_answer_to_a_request_that_is_still_sent_is_not_lost(start: Start, settings: Any, size: int) -> None:
    settings.API_KEY = "a" * 32
    api = await start(Scripted())
    async with connected(api) as (reader, writer), asyncio.timeout(SECONDS):
        head = b"POST /chat/stream HTTP/1.1\r\n" + HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % size
        writer.write(head)
        answer = await reader.readuntil(b"\r\n\r\n")
        # The connection is not reset by the rest of the body.
        for _ in range(size // 50_000):
            writer.write(b"x" * 50_000)
            await writer.drain()
        answer += await reader.read()
    assert answer.startswith((b"HTTP/1.1 401 ", b"HTTP/1.1 413 "))


async def test_request_that_does_not_end_after_its_answer_is_cut(
    start: Start, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uvicorn_protocol, "LINGER_SECONDS", 0.05)
    settings.API_KEY = "a" * 32
    api = await start(Scripted())
    async with connected(api) as (reader, writer), asyncio.timeout(SECONDS):
        writer.write(b"POST /x HTTP/1.1\r\n" + HEAD + b"Connection: close\r\nContent-Length: 1000000\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 401 ")
        with pytest.raises(ConnectionError):
            await send_without_end(writer)


@pytest.mark.parametrize("path", [b"/static/x", b"/docs", b"/", b"/admin/login/", b"/openapi.json"])
async def test_long_body_of_a_page_is_413(start: Start, settings: Any, path: bytes) -> None:
    settings.REQUEST_HEAD_SECONDS = 0.2
    api = await start(Scripted())
    declared = b"POST " + path + b" HTTP/1.1\r\n" + HEAD + b"Content-Length: 65537\r\n\r\n"
    chunked = b"POST " + path + b" HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b"a" * 65_536 + b"\r\n"
    for pieces in ([declared], [chunked, chunk, b"1\r\na\r\n"]):
        answer = await replies(api, *pieces)
        assert answer.startswith(b"HTTP/1.1 413 "), answer[:100]


async def test_unfinished_bodies_are_bounded_together(start: Start, settings: Any) -> None:
    settings.MAX_UNFINISHED_BYTES, settings.REQUEST_HEAD_SECONDS = 65_536, 0.2
    api = await start(Scripted())
    head = b"POST /chat/stream HTTP/1.1\r\nContent-Type: application/json\r\n" + HEAD
    half = head + b"Content-Length: 60001\r\n\r\n" + b" " * 40_000
    sending = {asyncio.create_task(replies(api, half)) for _ in range(2)}
    done, waiting = await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
    answer = done.pop().result()
    for task in waiting:
        task.cancel()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"MAX_UNFINISHED_BYTES" in answer
    async with asyncio.timeout(SECONDS):
        while (await api.ask(message=" " * 40_000)).status == 503:
            await asyncio.sleep(0.01)


async def test_body_over_http_1_0_ends_with_the_connection(start: Start) -> None:
    api = await start(Scripted([text("Hello"), STOP]))
    body = json.dumps({"message": "Hi"}).encode()
    head = b"POST /chat/stream HTTP/1.0\r\nContent-Type: application/json\r\n" + HEAD
    answer = await replies(api, head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    assert b"transfer-encoding" not in answer.lower()
    start_of_body = answer.partition(b"\r\n\r\n")[2]
    assert start_of_body.startswith(b"id: 1\ndata: ")
    assert start_of_body.endswith(b"\n\n")
    assert b"Hello" in start_of_body


@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz HTTP/1.1\r\nHost: 10.1.2.3:8010\r\nConnection: close\r\n\r\n",
        b"HEAD /healthz HTTP/1.1\r\nHost: 10.1.2.3\r\nConnection: close\r\n\r\n",
        b"GET /healthz/ HTTP/1.1\r\nHost: chat.example.org\r\nConnection: close\r\n\r\n",
        b"GET /healthz HTTP/1.0\r\n\r\n",
    ],
)
async def test_health_answers_every_load_balancer(start: Start, settings: Any, head: bytes) -> None:
    settings.API_KEY, settings.ALLOWED_HOSTS = "a-key-for-this-test", ["chat.example.org"]
    api = await start(Scripted())
    answer = await replies(api, head)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"}") is not head.startswith(b"HEAD")


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ("application/json; a*=bogus''x", 400),
        ("application/json; charset*=utf-8''%00", 400),
        ("application/json; charset=utf-16", 415),
        ("application/json; charset=undefined", 415),
        ('multipart/form-data; boundary=x; charset="idna"', 415),
        ("application/x-www-form-urlencoded; charset=base64", 415),
        ("application/json; charset", 400),
        ("text", 400),
        ("a/b; =", 400),
    ],
)
@pytest.mark.parametrize("path", ["/healthz", "/chat/stream", "/admin/login/", "/static/x", "/nothing"])
async def test_odd_content_type_is_refused_on_every_path(start: Start, path: str, value: str, status: int) -> None:
    api = await start(Scripted())
    answer = await api.call("POST", path, data=b"a=b", headers={"Content-Type": value})
    assert answer.status == status
    assert answer.json()["type"] == "error"


@pytest.mark.parametrize(
    "value", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8";']
)
async def test_ordinary_content_type_is_accepted(start: Start, value: str) -> None:
    api = await start(Scripted([text("Hello"), STOP]))
    answer = await api.call("POST", "/chat/stream", data=b'{"message": "Hi"}', headers={"Content-Type": value})
    assert answer.text == "Hello"


@pytest.mark.parametrize(
    "path", ["/static/..", "/static/../../x", "/static/%2e%2e/x", "/static/..%2f..%2fx", "/..%5cx"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_path_that_climbs_is_404(start: Start, path: str, method: str) -> None:
    api = await start(Scripted())
    answer = await replies(api, f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b'"code":"not_found"' in answer


async def test_query_with_too_many_fields_is_400_in_the_shape_of_errors(start: Start) -> None:
    api = await start(Scripted())
    answer = await api.call("GET", "/chat/sessions?" + "&".join("a" * 1_100))
    assert (answer.status, answer.json()["code"]) == (400, "bad_request")


async def test_long_message_without_a_key_closes_the_socket(start: Start, settings: Any) -> None:
    settings.API_KEY, settings.ALLOWED_HOSTS = "a-key-for-this-test", ["127.0.0.1"]
    api = await start(Scripted())
    async with api.session.ws_connect(api.base_url + "/ws/chat", compress=15) as socket:
        assert not socket.compress, "the server inflates nothing"
        await socket.send_str("[" * 5_000)
        closed = await socket.receive()
        assert (closed.type, closed.data) == (aiohttp.WSMsgType.CLOSE, 1009)


async def test_message_that_is_no_key_closes_the_socket(start: Start, settings: Any) -> None:
    settings.API_KEY, settings.ALLOWED_HOSTS = "a-key-for-this-test", ["127.0.0.1"]
    api = await start(Scripted())
    async with api.session.ws_connect(api.base_url + "/ws/chat") as socket:
        await socket.send_str("no JSON")
        assert (await socket.receive_json())["code"] == "unauthorized"
        assert (await socket.receive()).data == 4401


async def test_keep_alive_timer_of_http_does_not_close_a_socket(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = property(lambda _: 0.05, lambda _, value: None)
    monkeypatch.setattr(HttpProtocol, "timeout_keep_alive", seconds, raising=False)
    api = await start(Scripted())
    async with api.session.ws_connect(api.base_url + "/ws/chat") as socket:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.receive(), 0.3)
        await socket.send_json({"type": "cancel", "run_id": str(UUID(int=1))})
        assert (await socket.receive_json())["code"] == "not_found"


async def test_long_message_right_behind_the_key_is_accepted(start: Start, settings: Any) -> None:
    settings.API_KEY, settings.ALLOWED_HOSTS = "a-key-for-this-test", ["127.0.0.1"]
    api = await start(Scripted([text("Hello"), STOP]))
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    accepts = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    key, chat = {"type": "auth", "key": "a-key-for-this-test"}, {"type": "chat", "message": "a" * 50_000}
    async with connected(api) as (reader, writer), asyncio.timeout(SECONDS):
        writer.write(b"GET /ws/chat HTTP/1.1\r\n" + HEAD + upgrade + accepts)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(frame(key) + frame(chat))
        await reader.readuntil(b'"type":"end"')


def frame(message: dict[str, Any]) -> bytes:
    """Return a masked text frame (RFC 6455, section 5.2). The mask is zero, which leaves the text as it is."""
    data = json.dumps(message).encode()
    size = bytes([0x80 | len(data)]) if len(data) < 126 else struct.pack("!BH", 0xFE, len(data))
    return b"\x81" + size + bytes(4) + data
