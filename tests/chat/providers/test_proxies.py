"""The way to a service: proxies, Unix sockets, certificates and redirects, over real sockets."""

import asyncio
import base64
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from chat.engine.messages import UserMessage
from chat.engine.model_port import CompletionRequest, ProviderError, Text
from chat.providers import proxies
from chat.providers.base import Timeouts
from chat.providers.openai.endpoint import Endpoint
from chat.providers.openai.provider import OpenAI
from chat.providers.proxies import proxy_for
from tests.chat.providers.fake_openai import DONE, finish, said, streamed
from tests.fake_service import FakeService, Reply, fake_service

TIMEOUTS = Timeouts(connect=5, first_byte=5, idle=5)
PROXY_USER = "Basic " + base64.b64encode(b"user:p@ss").decode()


@pytest.fixture
async def fake() -> AsyncIterator[FakeService]:
    async with fake_service() as service:
        yield service


async def answer(endpoint: Endpoint) -> str:
    """Return the text that the service of an endpoint answers."""
    openai = OpenAI(endpoint, TIMEOUTS)
    request = CompletionRequest(model="m", messages=(UserMessage(text="Hi"),))
    try:
        pieces = [event.pieces async for event in openai.stream(request) if isinstance(event, Text)]
    finally:
        await openai.close()
    return b"".join(b"".join(piece) for piece in pieces).decode()


def hello() -> Reply:
    return streamed(said("Hello"), finish(), DONE)


@asynccontextmanager
async def proxy(target: int, status: str = "200 Established") -> AsyncIterator[tuple[str, list[bytes]]]:
    """Run a proxy that answers `CONNECT`, and passes everything on to a port. Yield its URL and the heads it got."""
    heads: list[bytes] = []
    serving: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.transport.abort()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heads.append(head)
        upstream, to_service = await asyncio.open_connection("127.0.0.1", target)
        try:
            if head.startswith(b"CONNECT"):
                writer.write(f"HTTP/1.1 {status}\r\n\r\n".encode())
            else:
                to_service.write(head)
            await asyncio.gather(pump(reader, to_service), pump(upstream, writer), return_exceptions=True)
        finally:
            to_service.transport.abort()
            writer.transport.abort()

    server = await asyncio.start_server(lambda *ends: serving.add(asyncio.ensure_future(serve(*ends))), "127.0.0.1", 0)
    async with server:
        yield f"http://user:p%40ss@127.0.0.1:{server.sockets[0].getsockname()[1]}", heads
    for task in serving:
        task.cancel()
    await asyncio.gather(*serving, return_exceptions=True)
    # The transports close their sockets in the next round of the event loop.
    await asyncio.sleep(0)


@pytest.fixture
def reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a service on this machine be reached through a proxy."""
    monkeypatch.setattr(proxies, "is_loopback", lambda _: False)


async def test_plain_service_is_reached_through_the_proxy_of_the_environment(
    fake: FakeService, monkeypatch: pytest.MonkeyPatch, reachable: None
) -> None:
    fake.play(hello())
    async with proxy(int(fake.url.rpartition(":")[2])) as (url, heads):
        monkeypatch.setenv("HTTP_PROXY", url)
        assert await answer(Endpoint(name="a", base_url=f"{fake.url}/v1")) == "Hello"
    assert heads[0].startswith(f"POST {fake.url}/v1/chat/completions HTTP/1.1\r\n".encode())
    assert PROXY_USER.encode() in heads[0]


def certificates(folder: Path) -> None:
    """Make a certificate for localhost that signs itself, and is the client's too."""
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost", "-keyout", folder / "key.pem", "-out", folder / "cert.pem",
        ],
        check=True, capture_output=True,
    )  # fmt: skip


@pytest.fixture
async def secure(tmp_path: Path) -> AsyncIterator[tuple[FakeService, int]]:
    """Run a service with TLS that demands a certificate of its client."""
    certificates(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tmp_path / "cert.pem")
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    service = FakeService()
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield service, server.sockets[0].getsockname()[1]


async def test_certificates_of_an_endpoint_are_used_also_through_a_tunnel(
    secure: tuple[FakeService, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reachable: None
) -> None:
    service, port = secure
    files: dict[str, Any] = {"ca_file": tmp_path / "cert.pem"}
    own = {"client_certificate": tmp_path / "cert.pem", "client_key": tmp_path / "key.pem"}
    endpoint = Endpoint(name="a", base_url=f"https://localhost:{port}/v1", **files, **own)
    service.play(hello(), hello())
    assert await answer(endpoint) == "Hello"
    async with proxy(port) as (url, heads):
        monkeypatch.setenv("HTTPS_PROXY", url)
        assert await answer(endpoint) == "Hello"
    assert heads[0].startswith(f"CONNECT localhost:{port} HTTP/1.1\r\n".encode())
    assert PROXY_USER.encode() in heads[0]
    for other in (
        Endpoint(name="a", base_url=endpoint.base_url, **files),
        Endpoint(name="a", base_url=endpoint.base_url),
    ):
        monkeypatch.delenv("HTTPS_PROXY", raising=False)
        with pytest.raises(ProviderError) as caught:
            await answer(other)
        assert caught.value.code == "provider_unavailable"


async def test_proxy_that_refuses_is_named(monkeypatch: pytest.MonkeyPatch, fake: FakeService, reachable: None) -> None:
    async with proxy(int(fake.url.rpartition(":")[2]), "407 Proxy Authentication Required") as (url, _):
        monkeypatch.setenv("HTTPS_PROXY", url)
        with pytest.raises(ProviderError, match="the proxy answered 407") as caught:
            await answer(Endpoint(name="a", base_url="https://localhost:9/v1"))
    assert "p@ss" not in str(caught.value)


def test_this_machine_and_the_names_of_no_proxy_are_reached_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.internal:8080")
    monkeypatch.setenv("NO_PROXY", "gpu.internal,.corp")
    found = {
        host: proxy_for("https", host) for host in ("api.openai.com", "gpu.internal", "a.corp", "localhost", "::1")
    }
    assert [host for host, used in found.items() if used] == ["api.openai.com"]
    assert found["api.openai.com"] == proxies.Proxy(("proxy.internal", 8080), {})


async def test_service_on_a_unix_socket_is_reached(tmp_path: Path) -> None:
    service = FakeService()
    server = await asyncio.start_unix_server(service.serve, tmp_path / "s")
    async with server:
        service.play(hello())
        endpoint = Endpoint(name="a", base_url="http://sidecar/v1", unix_socket=tmp_path / "s")
        assert await answer(endpoint) == "Hello"
    assert service.requests[0].headers["host"] == "sidecar"


async def test_key_headers_query_and_body_of_an_endpoint_are_sent(fake: FakeService) -> None:
    fake.play(hello())
    endpoint = Endpoint(
        name="azure",
        base_url=f"{fake.url}/v1?api-version=preview",
        api_key="a-key",
        key_header="api-key",
        headers={"X-Team": "blue"},
        query={"tier": "a b"},
        body={"top_k": 3, "stream_options": {"include_usage": False}},
        organization="org",
        project="pro",
    )
    assert await answer(endpoint) == "Hello"
    (request,) = fake.requests
    assert request.target == "/v1/chat/completions?api-version=preview&tier=a+b"
    headers = request.headers
    assert [headers.get(name) for name in ("api-key", "authorization", "x-team")] == ["a-key", None, "blue"]
    assert (headers["openai-organization"], headers["openai-project"]) == ("org", "pro")
    assert (request.body["top_k"], request.body["stream_options"]) == (3, {"include_usage": False})


@pytest.mark.parametrize("status", [301, 307])
async def test_redirect_is_refused_and_its_query_not_repeated(fake: FakeService, status: int) -> None:
    fake.play(Reply(status=status, headers={"Location": "https://elsewhere.example/v1?token=secret"}))
    with pytest.raises(
        ProviderError, match=r"a redirect to https://elsewhere.example/v1, which is not followed"
    ) as caught:
        await answer(Endpoint(name="a", base_url=fake.url))
    assert "secret" not in str(caught.value)
    assert caught.value.code == "provider_rejected"
