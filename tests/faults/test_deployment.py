"""Two workers behind a real nginx, one of which is killed while a client reads from it."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from tests.faults.conftest import Begin, Server
from tests.faults.upstream import Upstream
from tests.servers import free_port
from tests.streams import events, read_until

pytestmark = pytest.mark.slow

NGINX_CONF = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr crit;
events {{ worker_connections 256; }}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass {upstream};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_buffering off;
            proxy_read_timeout 1h;
        }}
    }}
}}
"""


@pytest.fixture
def server(begin: Begin) -> Server:
    # The proxy runs as another user.
    return begin("--workers", "2", LEASE_SECONDS="1", DISCONNECT_GRACE_SECONDS="30", ALLOW_KEYLESS="true")


@pytest.fixture
def front(server: Server, tmp_path: Path) -> Iterator[str]:
    """Return the address of an nginx in front of the workers."""
    nginx = shutil.which("nginx")
    if nginx is None:
        pytest.skip("nginx is not on the PATH")
    port = free_port()
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(NGINX_CONF.format(folder=tmp_path, port=port, upstream=server.url))
    process = subprocess.Popen([nginx, "-e", "stderr", "-c", str(configuration)])
    yield f"http://127.0.0.1:{port}"
    process.send_signal(signal.SIGTERM)
    process.wait()


async def test_reader_resumes_through_the_proxy_when_its_worker_is_killed(
    server: Server, front: str, models: Upstream, client: aiohttp.ClientSession
) -> None:
    models.tokens, models.pause = 10_000, 0.01
    await answering(client, front)
    body = b""
    async with client.post(f"{front}/chat/stream", json={"message": "Hi"}) as response:
        stream = front + response.headers["Content-Location"]
        body = await read_until(response, b"t20 ")
        os.kill(owner(server), signal.SIGKILL)
        with suppress(aiohttp.ClientError):
            while piece := await response.content.readany():
                body += piece
    seen = events(body[: body.rfind(b"\n\n") + 2])
    rest = await followed(client, stream, seen[-1]["id"])
    # The rest is empty if the reader's last token was not stored and the end has its number: then 204 ends the stream.
    assert [event["code"] for event in rest] in [["interrupted"], []]
    async with client.get(stream.replace("/stream", "")) as reply:
        assert (await reply.json())["status"] == "interrupted"
    models.tokens = 3
    async with client.post(stream.replace("/stream", "/resume")) as resumed:
        again = events((await resumed.read()).replace(b": ping\n\n", b""))
    assert again[-1]["reason"] == "completed"
    assert "".join(event.get("token", "") for event in again) == "t0 t1 t2 "


def owner(server: Server) -> int:
    """Return the worker that owns the run."""
    ((name,),) = server.rows("SELECT process FROM runs")
    return int(name.rpartition("#")[2].partition(":")[0])


async def answering(client: aiohttp.ClientSession, front: str) -> None:
    async with asyncio.timeout(20):
        while True:
            with suppress(aiohttp.ClientError):
                async with client.get(f"{front}/healthz") as response:
                    if response.status == 200:
                        return
            await asyncio.sleep(0.05)


async def followed(client: aiohttp.ClientSession, stream: str, cursor: int) -> list[dict[str, object]]:
    """Read the rest of a run after a cursor, however often the connection breaks."""
    found: list[dict[str, object]] = []
    async with asyncio.timeout(30):
        while not found or found[-1]["type"] not in {"end", "error"}:
            last = found[-1]["id"] if found else cursor
            await asyncio.sleep(0.02)
            with suppress(aiohttp.ClientError):
                async with client.get(stream, headers={"Last-Event-ID": str(last)}) as response:
                    if response.status == 204:
                        return found
                    if response.status == 200:
                        found += events((await response.read()).replace(b": ping\n\n", b""))
    return found
