"""Speech calls whose process was killed, stopped or terminated, as other processes find them."""

import asyncio
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.orchestrator_site.test_serve import address, serving
from tests.speech.vendor import Reply, Vendor

pytestmark = pytest.mark.slow

DEADLINE = 60
BEGUN = Reply(pieces=(b"audio" * 100,), ending="silence")

Begin = Callable[[], tuple[str, Any]]


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=DEADLINE)) as session:
        yield session


@pytest.fixture
def begin(fake: Vendor, tmp_path: Path) -> Iterator[Begin]:
    """Start one more process on the same database, and return its address and the process."""
    with ExitStack() as processes:

        def start() -> tuple[str, Any]:
            given = {"OPENAI_BASE_URL": fake.url, "OPENAI_API_KEY": "x", "LEASE_SECONDS": "1", "DRAIN_SECONDS": "0"}
            output, process = processes.enter_context(serving(tmp_path, **given))
            return address(output), process

        yield start


async def call(client: aiohttp.ClientSession, url: str, text: str) -> aiohttp.ClientResponse:
    """Start a synthesis whose first audio arrives and whose last never will."""
    body = {"text": text, "provider": "openai"}
    response = await client.post(f"{url}/speech/synthesis", json=body)
    assert response.status == 200
    assert await response.content.read(1)
    return response


def rows(folder: Path) -> dict[int, str]:
    """Return the status of each call by the length of its text."""
    with closing(sqlite3.connect(folder / "orchestrator.db")) as database:
        return dict(database.execute("SELECT characters, status FROM speech_requests").fetchall())


async def until(folder: Path, wanted: dict[int, str]) -> None:
    async with asyncio.timeout(DEADLINE):
        while rows(folder) != wanted:
            await asyncio.sleep(0.02)


async def test_call_of_a_killed_process_is_interrupted_at_the_next_start(
    begin: Begin, fake: Vendor, client: aiohttp.ClientSession, tmp_path: Path
) -> None:
    url, process = begin()
    fake.play(BEGUN, Reply(ending="silent from the start"))
    response = await call(client, url, "x")
    unanswered = asyncio.create_task(call(client, url, "xx"))
    await until(tmp_path, {1: "running", 2: "running"})
    process.kill()
    with pytest.raises(aiohttp.ClientError):
        await unanswered
    with pytest.raises(aiohttp.ClientError):
        await response.read()
    assert rows(tmp_path) == {1: "running", 2: "running"}
    begin()
    assert rows(tmp_path) == {1: "interrupted", 2: "interrupted"}


async def test_process_interrupts_only_the_calls_of_a_killed_neighbour(
    begin: Begin, fake: Vendor, client: aiohttp.ClientSession, tmp_path: Path
) -> None:
    (one, killed), (other, _) = begin(), begin()
    fake.play(BEGUN, BEGUN)
    await call(client, one, "x")
    living = await call(client, other, "xx")
    await until(tmp_path, {1: "running", 2: "running"})
    killed.kill()
    await until(tmp_path, {1: "interrupted", 2: "running"})
    begin()
    assert rows(tmp_path) == {1: "interrupted", 2: "running"}
    living.close()
    await until(tmp_path, {1: "interrupted", 2: "cancelled"})


async def test_process_wrongly_taken_for_dead_reports_the_end_of_its_call(
    begin: Begin, fake: Vendor, client: aiohttp.ClientSession, tmp_path: Path
) -> None:
    (one, stopped), _ = begin(), begin()
    fake.play(BEGUN)
    response = await call(client, one, "x")
    os.kill(stopped.pid, signal.SIGSTOP)
    await until(tmp_path, {1: "interrupted"})
    os.kill(stopped.pid, signal.SIGCONT)
    response.close()
    await until(tmp_path, {1: "cancelled"})


async def test_call_of_a_terminating_process_does_not_stay_open(
    begin: Begin, fake: Vendor, client: aiohttp.ClientSession, tmp_path: Path
) -> None:
    (one, ending), _ = begin(), begin()
    fake.play(BEGUN)
    await call(client, one, "x")
    ending.send_signal(signal.SIGTERM)
    await asyncio.to_thread(ending.wait, DEADLINE)
    assert ending.returncode == 0
    await until(tmp_path, {1: "cancelled"})
