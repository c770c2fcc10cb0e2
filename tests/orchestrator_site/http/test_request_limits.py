"""Limits of the request head, over a real socket of `manage.py serve`.

Covers `orchestrator_site.http.error_responses`, `orchestrator_site.http.uvicorn_protocol`, `web.headers`.
"""

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPResponse
from io import BytesIO

import pytest

from orchestrator_site.http.request_limits import MAX_HEADER_BYTES, MAX_HEADERS, MAX_URL_BYTES
from tests.orchestrator_site.test_serve import address, serving

GET = b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\n%bConnection: close\r\n\r\n"
PIECE = b"a" * 65_536


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    limits = {"MAX_BODY_BYTES": "100000", "REQUEST_HEAD_SECONDS": "1"}
    with serving(tmp_path_factory.mktemp("heads"), LOG_LEVEL="error", **limits) as (output, _):
        yield int(address(output).rpartition(":")[2])


class Received:
    """Received bytes, as a socket to read them from."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _: str) -> BytesIO:
        return BytesIO(self._data)


def answered(port: int, *pieces: bytes) -> tuple[int, str]:
    """Return the status and code of the reply, which may arrive before all bytes are sent."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection, suppress(ConnectionError):
        try:
            for piece in pieces:
                connection.sendall(piece)
        finally:
            while part := connection.recv(65_536):
                answer += part
    response = HTTPResponse(Received(answer))
    response.begin()
    assert response.headers["Content-Type"] == "application/json", answer[:200]
    return response.status, json.loads(response.read()).get("code", "")


@pytest.mark.parametrize(
    ("url", "headers", "expected"),
    [
        (b"/healthz", b"", (200, "")),
        (b"/healthz?" + b"a" * (MAX_URL_BYTES - 8), b"", (200, "")),
        (b"/healthz?" + b"a" * (MAX_URL_BYTES - 7), b"", (414, "url_too_long")),
        (b"/" + b"a" * MAX_URL_BYTES, b"", (414, "url_too_long")),
        (b"/docs?" + b"a" * MAX_URL_BYTES, b"", (414, "url_too_long")),
        (b"/healthz", b"A: b\r\n" * (MAX_HEADERS - 2), (200, "")),
        (b"/healthz", b"A: b\r\n" * (MAX_HEADERS - 1), (431, "headers_too_large")),
        (b"/healthz", b"A: " + b"b" * (MAX_HEADER_BYTES - 1) + b"\r\n", (200, "")),
        (b"/healthz", b"A: " + b"b" * MAX_HEADER_BYTES + b"\r\n", (431, "headers_too_large")),
        (b"/healthz", (b"A: " + b"b" * 7_900 + b"\r\n") * 4, (200, "")),
        (b"/healthz", (b"A: " + b"b" * 7_900 + b"\r\n") * 5, (431, "headers_too_large")),
        (b"/healthz", b"A: " + b"b" * 500_000 + b"\r\n", (431, "headers_too_large")),
        (b"/admin/", b"A: " + b"b" * MAX_HEADER_BYTES + b"\r\n", (431, "headers_too_large")),
        (b"/healthz", b"Host: 127.0.0.1\r\n", (400, "bad_host")),
        (b"/healthz?a=%00", b"", (400, "bad_request")),
        (b"/admin/?owner=%00", b"", (400, "bad_request")),
        (b"/a%00b", b"", (400, "bad_request")),
        (b"/a b", b"", (400, "bad_request")),
        (b"/\xff", b"", (400, "bad_request")),
        (b"/healthz", b"no colon\r\n", (400, "bad_request")),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes) else None,
)
def test_each_limit_of_the_head_has_its_error_code(
    port: int, url: bytes, headers: bytes, expected: tuple[int, str]
) -> None:
    assert answered(port, GET % (url, headers)) == expected


@pytest.mark.parametrize(
    "start",
    [
        b"GET /",
        b"GET /healthz HTTP/1.1\r\nA: ",
        b"POST /chat/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: ",
    ],
    ids=["request line", "header", "trailer"],
)
def test_endless_head_is_rejected(port: int, start: bytes) -> None:
    status, code = answered(port, start, *[PIECE] * 40)
    assert (status, code) in {(431, "headers_too_large"), (400, "bad_request")}


def test_body_in_many_pieces_does_not_count_as_head(port: int) -> None:
    body = json.dumps({"message": "a" * 90_000, "tools": 1}).encode()
    head = b"POST /chat/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
    pieces = [body[start : start + 1_000] for start in range(0, len(body), 1_000)]
    assert answered(port, head + b"Content-Length: %d\r\n\r\n" % len(body), *pieces) == (422, "invalid_field")
    chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
    assert answered(port, chunked, *chunks, b"0\r\n\r\n") == (422, "invalid_field")


def test_body_over_the_limit_is_rejected_before_it_is_sent(port: int) -> None:
    head = b"POST /chat/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    assert answered(port, head + b"Content-Length: 100001\r\n\r\n") == (413, "body_too_large")


def test_json_depth_is_limited(port: int) -> None:
    head = b"POST /chat/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
    for depth, expected in ((100, (422, "invalid_field")), (101, (400, "invalid_json"))):
        body = b"[" * depth + b"]" * depth
        assert answered(port, head + b"Content-Length: %d\r\n\r\n" % len(body) + body) == expected


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        (b"a", b"", 101),
        (b"a=%00", b"", 403),
        (b"a" * MAX_URL_BYTES, b"", 414),
        (b"a", b"A: b\r\n" * MAX_HEADERS, 431),
        (b"a", b"A: " + b"b" * MAX_HEADER_BYTES + b"\r\n", 431),
        (b"a", b"Host: 127.0.0.1\r\n", 403),
    ],
    ids=lambda value: value[:10] if isinstance(value, bytes) else None,
)
def test_socket_needs_a_head_within_the_limits(port: int, query: bytes, headers: bytes, status: int) -> None:
    upgrade = (
        b"GET /ws/chat?%b HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n%b"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(upgrade % (query, headers))
        assert connection.recv(12) == b"HTTP/1.1 %d" % status
