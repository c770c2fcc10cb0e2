"""One budget and one key's runs, shared by two processes, one of which may be killed."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.chat.providers.fake_openai import DONE, finish, said, streamed, usage
from tests.fake_service import FakeService, fake_service
from tests.managing import managed, migrated, migrated_postgres
from tests.orchestrator_site.test_serve import address, serving
from tests.servers import Postgres
from tests.streams import events

pytestmark = pytest.mark.slow

DEADLINE = 30
AT_ONCE = 50
BUDGET = 1_500
RESERVED = 85
"""Tokens: at most 80 of output, and 5 for "Hi"."""


@pytest.fixture
async def fake() -> AsyncIterator[FakeService]:
    async with fake_service() as service:
        yield service


@pytest.fixture(params=["sqlite", "postgres"])
def variables(request: pytest.FixtureRequest, fake: FakeService) -> dict[str, str]:
    """Return the environment of the processes: one database for all, and a model service of this test."""
    given = {"OPENAI_BASE_URL": f"{fake.url}/v1", "OPENAI_API_KEY": "x", "LOG_LEVEL": "error"}
    given |= {"RUN_MAX_OUTPUT_TOKENS": "80", "MODEL_PRICES": "*:1,1"}
    if request.param == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        given["DATABASE_URL"] = migrated_postgres(server)
    return given


@pytest.fixture
def processes() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


class Service:
    """Two processes, and a key with a budget."""

    def __init__(self, folder: Path, processes: ExitStack, variables: dict[str, str]) -> None:
        self._folder = folder
        self._processes = processes
        self._variables = variables
        self.headers: dict[str, str] = {}

    def managed(self, *arguments: str) -> str:
        return managed(self._folder, *arguments, **self._variables)

    async def make_key(self, *options: str) -> None:
        secret = await asyncio.to_thread(self.managed, "create_api_key", "alice", *options)
        self.headers = {"X-API-Key": secret.strip()}

    async def begin(self) -> tuple[str, Any]:
        output, process = await asyncio.to_thread(
            lambda: self._processes.enter_context(serving(self._folder, **self._variables))
        )
        return address(output), process

    async def spent(self) -> str:
        return await asyncio.to_thread(self.managed, "usage", "--budgets")


@pytest.fixture
def service(tmp_path: Path, processes: ExitStack, variables: dict[str, str]) -> Service:
    return Service(migrated(tmp_path), processes, variables)


async def test_fifty_runs_of_two_processes_do_not_exceed_a_budget(service: Service, fake: FakeService) -> None:
    await service.make_key("--budget", f"{BUDGET}tokens/day")
    (one, _), (other, _) = await asyncio.gather(service.begin(), service.begin())
    answered = usage(prompt_tokens=5, completion_tokens=80)
    fake.play(*[streamed(said("Hi"), finish(), answered, DONE)] * AT_ONCE)
    timeout = aiohttp.ClientTimeout(total=DEADLINE)

    async def ask(client: aiohttp.ClientSession, number: int) -> str:
        body = {"message": "Hi", "tools": []}
        async with client.post(f"{(one, other)[number % 2]}/chat/stream", json=body) as response:
            last = events(await response.read())[-1]
            return str(last.get("reason") or last)

    async with aiohttp.ClientSession(timeout=timeout, headers=service.headers) as client:
        reasons = await asyncio.gather(*(ask(client, number) for number in range(AT_ONCE)))
    made = len(fake.requests)
    assert reasons.count("completed") == made == BUDGET // RESERVED
    assert reasons.count("budget_exceeded") == AT_ONCE - made
    assert f"{made * RESERVED} tokens spent, 0 reserved" in await service.spent()


async def test_reservation_of_a_killed_process_is_spent(
    service: Service, fake: FakeService, variables: dict[str, str]
) -> None:
    # The other tests have the default: on a busy machine a process may not renew so short a lease in time.
    variables["LEASE_SECONDS"] = "1"
    await service.make_key("--budget", f"{BUDGET}tokens/day")
    (one, first), (other, _) = await asyncio.gather(service.begin(), service.begin())
    fake.play(streamed(said("Hi"), ending="silence"))
    timeout = aiohttp.ClientTimeout(total=DEADLINE)
    async with (
        aiohttp.ClientSession(timeout=timeout, headers=service.headers) as client,
        client.post(f"{one}/chat/stream", json={"message": "Hi", "tools": []}) as response,
    ):
        await response.content.readany()
        assert f"0 tokens spent, {RESERVED} reserved" in await service.spent()
        first.send_signal(signal.SIGKILL)
        run = f"{other}/chat/runs/{response.headers['X-Run-Id']}"
        async with asyncio.timeout(DEADLINE):
            while (await (await client.get(run)).json())["status"] == "running":
                await asyncio.sleep(0.05)
    assert f"{RESERVED} tokens spent, 0 reserved" in await service.spent()


async def test_run_limit_of_a_key_applies_across_processes(service: Service, fake: FakeService) -> None:
    await service.make_key("--max-runs", "3")
    (one, _), (other, _) = await asyncio.gather(service.begin(), service.begin())
    fake.play(*[streamed(said("Hi"), ending="silence")] * 20)
    timeout = aiohttp.ClientTimeout(total=DEADLINE)
    async with aiohttp.ClientSession(timeout=timeout, headers=service.headers) as client:
        body = {"message": "Hi", "on_disconnect": "cancel"}
        asked = (client.post(f"{(one, other)[number % 2]}/chat/stream", json=body) for number in range(20))
        responses = await asyncio.gather(*asked)
        assert sorted(response.status for response in responses) == [200] * 3 + [429] * 17
        for response in responses:
            response.close()


async def test_run_limit_of_the_service_applies_across_processes(
    service: Service, fake: FakeService, variables: dict[str, str]
) -> None:
    variables["MAX_ACTIVE_RUNS"] = "4"
    await service.make_key()
    (one, _), (other, _) = await asyncio.gather(service.begin(), service.begin())
    fake.play(*[streamed(said("Hi"), ending="silence")] * 20)
    timeout = aiohttp.ClientTimeout(total=DEADLINE)
    async with aiohttp.ClientSession(timeout=timeout, headers=service.headers) as client:
        asked = (client.post(f"{(one, other)[number % 2]}/chat/stream", json={"message": "Hi"}) for number in range(20))
        responses = await asyncio.gather(*asked)
        assert sorted(response.status for response in responses) == [200] * 4 + [503] * 16
        assert all(response.headers["Retry-After"] for response in responses if response.status == 503)
        for response in responses:
            response.close()
