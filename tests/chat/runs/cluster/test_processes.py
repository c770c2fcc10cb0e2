"""Several service processes on one database, driven over sockets: followed, cancelled, killed and drained.

Covers `chat.history.run_source`, `chat.runs.cluster.commands`, `chat.runs.cluster.notifications`,
`chat.runs.cluster.remote_subscribers`, `chat.runs.cluster.remote_watch`, `chat.runs.cluster.ticker`,
`orchestrator_site.serving.reload`, `orchestrator_site.serving.workers`.

Covers `chat.runs.cluster.member`.
"""

import asyncio
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.chat.providers.fake_openai import DONE, call, finish, said, streamed
from tests.fake_service import FakeService, Reply, fake_service
from tests.orchestrator_site.test_serve import address, serving
from tests.servers import valkey_server
from tests.streams import events

pytestmark = pytest.mark.slow

DEADLINE = 60
QUICK = {"LEASE_SECONDS": "1", "DISCONNECT_GRACE_SECONDS": "0.3", "DRAIN_SECONDS": "10", "HEARTBEAT_SECONDS": "0.5"}

Start = Callable[..., tuple[str, Any]]


@pytest.fixture
async def fake() -> AsyncIterator[FakeService]:
    async with fake_service() as service:
        yield service


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=DEADLINE)) as session:
        yield session


@pytest.fixture
def begin(fake: FakeService, tmp_path: Path) -> Iterator[Start]:
    """Start one more process on the same database, and return its address and the process."""
    with ExitStack() as processes:

        def start(*arguments: str, **variables: str) -> tuple[str, Any]:
            given = {"OPENAI_BASE_URL": f"{fake.url}/v1", "OPENAI_API_KEY": "x", **QUICK, **variables}
            output, process = processes.enter_context(serving(tmp_path, *arguments, **given))
            return address(output), process

        yield start


class Stream:
    """A response that is read as it arrives."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.body = b""

    async def until(self, wanted: bytes) -> bytes:
        async with asyncio.timeout(DEADLINE):
            while wanted not in self.body:
                piece = await self.response.content.readany()
                assert piece, self.body
                self.body += piece
        return self.body

    async def rest(self) -> bytes:
        self.body += await self.response.content.read()
        return self.body


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def is_alive(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


def sqlite(folder: Path, query: str) -> str:
    with closing(sqlite3.connect(folder / "orchestrator.db")) as database:
        return str(database.execute(query).fetchone()[0])


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not await condition():
            await asyncio.sleep(0.02)


def without_pings(body: bytes) -> bytes:
    return body.replace(b": ping\n\n", b"")


def slowly(*pieces: bytes) -> Reply:
    """Return an answer that never ends."""
    return streamed(*pieces, ending="silence")


async def test_run_is_followed_from_another_process_byte_for_byte(
    begin: Start, fake: FakeService, client: aiohttp.ClientSession
) -> None:
    (one, _), (other, _) = begin(), begin()
    fake.play(slowly(said("Half")))
    async with client.post(f"{one}/chat/stream", json={"message": "Hi"}) as response:
        here = Stream(response)
        await here.until(b"Half")
        path = response.headers["Content-Location"]
        async with client.get(other + path) as elsewhere:
            there = Stream(elsewhere)
            await there.until(b"Half")
            answer = await client.post(f"{other}/chat/runs/{response.headers['X-Run-Id']}/cancel")
            assert (await answer.json())["status"] == "cancelled"
            assert without_pings(await there.rest()) == without_pings(await here.rest())
    assert events(here.body)[-1]["reason"] == "cancelled"
    await asyncio.wait_for(fake.disconnected.wait(), DEADLINE)


async def test_run_is_followed_with_and_without_a_channel_layer(
    begin: Start, fake: FakeService, client: aiohttp.ClientSession
) -> None:
    with valkey_server() as valkey:
        (one, _), (other, _) = (begin(CHANNEL_LAYER_URL=valkey.url) for _ in range(2))
        gates = [asyncio.Event(), asyncio.Event()]
        fake.play(*(streamed(said("Half"), said("Whole."), finish(), DONE, gate=gate) for gate in gates))
        for number, gate in enumerate(gates):
            async with client.post(f"{one}/chat/stream", json={"message": "Hi"}) as response:
                here = Stream(response)
                await here.until(b"Half")
                async with client.get(other + response.headers["Content-Location"]) as elsewhere:
                    there = Stream(elsewhere)
                    await there.until(b"Half")
                    if number == 1:
                        valkey.stop()
                    gate.set()
                    assert without_pings(await there.rest()) == without_pings(await here.rest())


async def test_remote_subscriber_keeps_a_run_alive(
    begin: Start, fake: FakeService, client: aiohttp.ClientSession
) -> None:
    (one, _), (other, _) = (begin(DISCONNECT_GRACE_SECONDS="1") for _ in range(2))
    fake.play(slowly(said("Half")))
    response = await client.post(f"{one}/chat/stream", json={"message": "Hi"})
    await Stream(response).until(b"Half")
    run = f"/chat/runs/{response.headers['X-Run-Id']}"
    async with client.get(f"{other}{run}/stream") as elsewhere:
        there = Stream(elsewhere)
        await there.until(b"Half")
        response.close()
        before = there.body.count(b": ping")
        while there.body.count(b": ping") < before + 6:
            received = await elsewhere.content.readany()
            assert received, "the stream ended before its subscriber left"
            there.body += received
        assert (await (await client.get(one + run)).json())["status"] == "running"

    async def ended() -> bool:
        return bool((await (await client.get(other + run)).json())["status"] == "cancelled")

    await until(ended)


async def test_run_of_a_killed_process_ends_for_its_subscribers_and_is_resumed_once(
    begin: Start, fake: FakeService, client: aiohttp.ClientSession
) -> None:
    (one, process), (other, _) = begin(), begin()
    fake.play(slowly(said("Half")), streamed(said("Whole."), finish(), DONE))
    async with client.post(f"{one}/chat/stream", json={"message": "Hi"}) as response:
        await Stream(response).until(b"Half")
        run = f"/chat/runs/{response.headers['X-Run-Id']}"
        async with client.get(f"{other}{run}/stream") as elsewhere:
            there = Stream(elsewhere)
            await there.until(b"Half")
            process.kill()
            last = events(without_pings(await there.rest()))[-1]
    assert (last["type"], last["code"]) == ("error", "interrupted")
    async with client.post(f"{other}{run}/resume") as resumed:
        again = await resumed.read()
        new = resumed.headers["X-Run-Id"]
    assert events(again)[-1]["reason"] == "completed"
    async with client.post(f"{other}{run}/resume") as second:
        assert second.headers["X-Run-Id"] == new
        assert await second.read() == again
    resumed_run = await (await client.get(f"{other}/chat/runs/{new}")).json()
    assert (resumed_run["resumed_from"], resumed_run["text"]) == (run.rsplit("/", 1)[1], "Whole.")
    refused = await client.post(f"{other}/chat/runs/{new}/resume")
    assert (refused.status, (await refused.json())["code"]) == (409, "not_resumable")


async def test_interrupted_tool_is_reported_to_the_model_that_resumes(
    begin: Start, fake: FakeService, client: aiohttp.ClientSession, tmp_path: Path
) -> None:
    (one, process), (other, _) = begin(), begin()
    waits = call(0, call_id="c1", name="terminal_exec", arguments='{"command": "pytest -q", "timeout": 30}')
    (tmp_path / "workspaces" / "test_slow.py").write_text("import time\ndef test(): time.sleep(60)\n")
    fake.play(streamed(waits, finish("tool_calls"), DONE), streamed(said("It was cut."), finish(), DONE))
    async with client.post(f"{one}/chat/stream", json={"message": "test it"}) as response:
        await Stream(response).until(b"tool_call")
        run = f"/chat/runs/{response.headers['X-Run-Id']}"
        process.kill()

    async def interrupted() -> bool:
        return bool((await (await client.get(other + run)).json())["status"] == "interrupted")

    await until(interrupted)
    (execution,) = (await (await client.get(f"{other}/tools/executions")).json())["items"]
    assert (execution["status"], execution["code"]) == ("interrupted", "interrupted")
    async with client.post(f"{other}{run}/resume") as resumed:
        assert events(await resumed.read())[-1]["reason"] == "completed"
    answered = fake.requests[1].body["messages"][-1]
    assert (answered["role"], answered["tool_call_id"]) == ("tool", "c1")
    assert "cut off" in answered["content"]


async def test_workers_share_a_socket_and_are_replaced_when_killed_and_at_a_reload(
    begin: Start, fake: FakeService, client: aiohttp.ClientSession, tmp_path: Path
) -> None:
    url, parent = begin("--workers", "2")
    workers = set(children(parent.pid))
    assert len(workers) == 2
    fake.play(slowly(said("Half")))
    async with client.post(f"{url}/chat/stream", json={"message": "Hi"}) as response:
        await Stream(response).until(b"Half")
        run = f"/chat/runs/{response.headers['X-Run-Id']}"
        owner = sqlite(tmp_path, "SELECT process FROM runs")
        killed = next(worker for worker in workers if f"#{worker}:" in owner)
        os.kill(killed, signal.SIGKILL)

    async def interrupted() -> bool:
        async with aiohttp.ClientSession() as fresh:
            return bool((await (await fresh.get(url + run)).json())["status"] == "interrupted")

    await until(interrupted)

    async def replaced() -> bool:
        return len(set(children(parent.pid)) - {killed}) == 2

    await until(replaced)
    gate = asyncio.Event()
    fake.play(streamed(said("Half"), said("Whole."), finish(), DONE, gate=gate))
    before = set(children(parent.pid))
    async with client.post(f"{url}/chat/stream", json={"message": "Hi"}) as response:
        stream = Stream(response)
        await stream.until(b"Half")
        parent.send_signal(signal.SIGHUP)

        async def reloaded() -> bool:
            return len(set(children(parent.pid)) - before) == 2 and len(set(children(parent.pid)) & before) == 1

        await until(reloaded)
        async with aiohttp.ClientSession() as fresh, fresh.get(f"{url}/readyz") as probe:
            assert probe.status == 200
        gate.set()
        assert events(await stream.rest())[-1]["reason"] == "completed"
    parent.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(parent.wait, DEADLINE) == 0
    assert not any(map(is_alive, workers))


async def test_fifty_requests_with_one_idempotency_key_are_one_run_with_one_effect(
    begin: Start, client: aiohttp.ClientSession, tmp_path: Path
) -> None:
    bases = [begin()[0], begin()[0]]
    body = {"tool_calls": [{"name": "fs.write", "params": {"path": "once.txt", "content": "x", "create_only": True}}]}

    async def ask(number: int) -> tuple[str, bytes]:
        headers = {"Idempotency-Key": "the same"}
        async with client.post(f"{bases[number % 2]}/chat/stream", json=body, headers=headers) as response:
            assert response.status == 200, await response.text()
            return response.headers["X-Run-Id"], without_pings(await response.read())

    answers = await asyncio.gather(*map(ask, range(50)))
    assert len(set(answers)) == 1
    assert b"tool_result" in answers[0][1]
    executions = await (await client.get(f"{bases[0]}/tools/executions")).json()
    assert executions["count"] == 1
    other = await client.post(
        f"{bases[1]}/chat/stream", json={"message": "else"}, headers={"Idempotency-Key": "the same"}
    )
    assert (other.status, (await other.json())["code"]) == (409, "idempotency_mismatch")


async def test_process_that_reloads_or_stops_lets_its_runs_end(
    begin: Start, fake: FakeService, client: aiohttp.ClientSession
) -> None:
    base, process = begin()
    gates = [asyncio.Event(), asyncio.Event()]
    fake.play(*(streamed(said("Half"), said("Whole."), finish(), DONE, gate=gate) for gate in gates))
    async with client.post(f"{base}/chat/stream", json={"message": "Hi"}) as response:
        stream = Stream(response)
        await stream.until(b"Half")
        process.send_signal(signal.SIGHUP)
        gates[0].set()
        assert events(await stream.rest())[-1]["reason"] == "completed"

    async def started_again() -> bool:
        return b"--listening" in await asyncio.to_thread(Path(f"/proc/{process.pid}/cmdline").read_bytes)

    await until(started_again)
    # This request waits until the service is ready.
    async with client.post(f"{base}/chat/stream", json={"message": "Hi"}) as response:
        stream = Stream(response)
        await stream.until(b"Half")
        process.send_signal(signal.SIGTERM)

        async def refuses() -> bool:
            refused = await client.post(f"{base}/chat/stream", json={"message": "Hi"})
            return refused.status == 503 and "Retry-After" in refused.headers

        await until(refuses)
        for path, status in (("/livez", 200), ("/readyz", 503)):
            async with client.get(base + path) as probe:
                assert probe.status == status
        gates[1].set()
        assert events(await stream.rest())[-1]["reason"] == "completed"
    assert await asyncio.to_thread(process.wait, DEADLINE) == 0


async def test_run_that_does_not_end_in_time_is_interrupted_and_reported(
    begin: Start, fake: FakeService, client: aiohttp.ClientSession
) -> None:
    base, process = begin(DRAIN_SECONDS="0.2")
    fake.play(slowly(said("Half")))
    async with client.post(f"{base}/chat/stream", json={"message": "Hi"}) as response:
        stream = Stream(response)
        await stream.until(b"Half")
        process.send_signal(signal.SIGTERM)
        assert events(without_pings(await stream.rest()))[-1]["code"] == "shutting_down"
    assert await asyncio.to_thread(process.wait, DEADLINE) == 0
