"""Faults that a service process and its readers must survive."""

import asyncio
import json
import random
import resource
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.faults.conftest import LONG, Begin, Server
from tests.faults.upstream import Upstream
from tests.streams import events, read_until

pytestmark = pytest.mark.slow


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.02)


async def ask(client: aiohttp.ClientSession, server: Server, **body: Any) -> list[dict[str, Any]]:
    async with client.post(f"{server.url}/chat/stream", json=body or {"message": "Hi"}) as response:
        assert response.status == 200, await response.text()
        return events((await response.read()).replace(b": ping\n\n", b""))


async def active_runs(client: aiohttp.ClientSession, server: Server) -> int:
    async with client.get(f"{server.url}/healthz") as response:
        return int((await response.json())["active_runs"])


async def test_clients_that_disconnect_at_random_leave_nothing_behind(
    begin: Begin, models: Upstream, client: aiohttp.ClientSession
) -> None:
    server = begin(DISCONNECT_GRACE_SECONDS="0")
    models.tokens, models.pause = 10_000, 0.02
    await ask_and_leave(client, server, 0.1)

    async def quiet() -> bool:
        return models.open == 0 and await active_runs(client, server) == 0

    await until(quiet)
    before = server.files
    delays = random.Random(0)
    clients = 1_000 if LONG else 150
    await asyncio.gather(*(ask_and_leave(client, server, delays.uniform(0, 2)) for _ in range(clients)))
    await until(quiet)

    async def back() -> bool:
        return server.files <= before + 8

    await until(back)
    models.tokens, models.pause = 20, 0.0
    assert (await ask(client, server))[-1]["reason"] == "completed"


async def ask_and_leave(client: aiohttp.ClientSession, server: Server, seconds: float) -> None:
    with suppress(TimeoutError):
        async with (
            asyncio.timeout(seconds),
            client.post(f"{server.url}/chat/stream", json={"message": "Hi"}) as response,
        ):
            await response.read()


async def test_locked_database_does_not_delay_open_streams(
    begin: Begin, models: Upstream, client: aiohttp.ClientSession
) -> None:
    server = begin()
    models.tokens, models.pause = 10_000, 0.02
    locked = 10.0 if LONG else 2.0
    async with client.post(f"{server.url}/chat/stream", json={"message": "Hi"}) as response:
        seen = await read_until(response, b"t3 ")
        with closing(sqlite3.connect(server.folder / "orchestrator.db", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            new = asyncio.create_task(status(client, server))
            during = 0
            began = asyncio.get_running_loop().time()
            while asyncio.get_running_loop().time() - began < locked:
                during += (await response.content.readany()).count(b'"token"')
            other.execute("ROLLBACK")
        assert during > locked / models.pause / 4, "tokens came on while the database was locked"
        code, after = await new
        assert code == 200 or (code == 503 and int(after) > 0)
        models.tokens = 0
        run = response.headers["X-Run-Id"]
        async with client.post(f"{server.url}/chat/runs/{run}/cancel") as cancelled:
            assert (await cancelled.json())["status"] == "cancelled"
        body = seen + await response.content.read()
    async with client.get(f"{server.url}/chat/runs/{run}/stream") as replay:
        numbers = [event["id"] for event in events(await replay.read())]
    assert numbers == list(range(1, len(numbers) + 1))
    assert events(body[: body.rfind(b"\n\n") + 2])[-1]["reason"] == "cancelled"


async def status(client: aiohttp.ClientSession, server: Server) -> tuple[int, str]:
    """Return the status of a new request, and its `Retry-After`."""
    async with client.post(f"{server.url}/chat/stream", json={"tool_calls": [{"name": "fs.list"}]}) as response:
        await response.read()
        return response.status, response.headers.get("Retry-After", "0")


async def test_full_disk_is_reported_and_survived(
    begin: Begin, models: Upstream, client: aiohttp.ClientSession, small_disk: Path
) -> None:
    server = begin(folder=small_disk)
    models.tokens, models.pause = 5, 0.0
    kept = (await ask(client, server))[0]["run_id"]
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4_096)

    async def refused() -> bool:
        async with client.post(f"{server.url}/chat/stream", json={"message": "x" * 200_000}) as response:
            body = await response.read()
            if response.status == 200:
                return events(body)[-1].get("code") == "storage"
            assert (response.status, json.loads(body)["code"]) == (507, "no_space"), body
            return True

    await until(refused)
    write = {"tool_calls": [{"name": "fs.write", "params": {"path": "a.txt", "content": "y" * 100_000}}]}
    async with client.post(f"{server.url}/chat/stream", json=write) as response:
        assert response.status in {200, 503, 507}
        if response.status == 200:
            assert b"tool_result" not in await response.read()
    filler.unlink()

    async def works() -> bool:
        async with client.post(f"{server.url}/chat/stream", json={"message": "Hi"}) as response:
            return response.status == 200 and b'"completed"' in await response.read()

    await until(works)
    async with client.get(f"{server.url}/chat/runs/{kept}") as response:
        assert (await response.json())["text"] == "t0 t1 t2 t3 t4 "
    assert server.rows("PRAGMA integrity_check") == [("ok",)]


async def test_shortage_of_file_descriptors_is_survived(
    begin: Begin, models: Upstream, client: aiohttp.ClientSession
) -> None:
    server = begin()
    models.tokens, models.pause = 5, 0.0
    await ask(client, server)
    soft, _ = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
    server.limit(resource.RLIMIT_NOFILE, server.files + 3)
    attempts = await asyncio.gather(*(attempt(client, server) for _ in range(20)))
    assert all(code in {0, 200, 503} for code in attempts), attempts
    server.limit(resource.RLIMIT_NOFILE, soft)

    async def works() -> bool:
        return await attempt(client, server) == 200

    await until(works)
    assert (await ask(client, server))[-1]["reason"] == "completed"


async def attempt(client: aiohttp.ClientSession, server: Server) -> int:
    """Return a request's status, or 0 if no reply came in time."""
    try:
        async with asyncio.timeout(2), client.post(f"{server.url}/chat/stream", json={"message": "Hi"}) as response:
            await response.read()
            return response.status
    except (TimeoutError, aiohttp.ClientError):
        return 0


async def test_invalid_cursor_is_rejected(begin: Begin, models: Upstream, client: aiohttp.ClientSession) -> None:
    server = begin()
    models.tokens, models.pause = 5, 0.0
    run = (await ask(client, server))[0]["run_id"]
    for cursor in ("-1", "99999999999", "x", "4294967296", "9999"):
        for headers, query in (({"Last-Event-ID": cursor}, ""), ({}, f"?after={cursor}")):
            async with client.get(f"{server.url}/chat/runs/{run}/stream{query}", headers=headers) as response:
                assert response.status == 422, cursor
