"""Rate limits of one key and of the whole service, in one process and in several."""

import asyncio
import re
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import aiohttp
import pytest
from pytest_django import Settings

from access.limits.limiter import Counters, Limiter, Windows
from access.limits.rates import rate
from access.network.proxies import networks
from chat.providers.scripted import Scripted
from tests.access.conftest import Holder, MakeKey
from tests.conftest import Api, Start
from tests.managing import managed, migrated, migrated_postgres
from tests.orchestrator_site.test_serve import address, serving
from tests.servers import Postgres, Valkey
from tests.streams import Answer


async def at_once(api: Api, count: int, *holders: Holder) -> list[Answer]:
    asking = [api.call("GET", "/providers", headers=holder.headers) for holder in holders for _ in range(count)]
    return await asyncio.gather(*asking)


async def test_ten_of_fifty_concurrent_requests_pass_a_limit_of_ten(start: Start, make_key: MakeKey) -> None:
    alice, bob = await make_key("alice", rate="10/day"), await make_key("bob")
    api = await start(Scripted())
    answers = await at_once(api, 50, alice)
    assert Counter(answer.status for answer in answers) == {200: 10, 429: 40}
    refused = next(answer for answer in answers if answer.status == 429)
    refusal = refused.json()
    assert refusal["code"] == "rate_limited"
    wait = int(refused.headers["Retry-After"])
    assert 0 < wait <= 86_400
    assert refusal["detail"] == [{"policy": "key", "retry_after": wait}]
    assert refused.headers["RateLimit-Policy"] == '"key";q=10;w=86400'
    assert refused.headers["RateLimit"] == f'"key";r=0;t={wait}'
    assert {answer.status for answer in await at_once(api, 20, bob)} == {200}


async def test_keys_without_a_rate_use_the_setting(start: Start, make_key: MakeKey, settings: Settings) -> None:
    settings.RATE_LIMIT_PER_KEY = "3/day"
    settings.API_KEY = "the-key-of-this-service"
    alice, bob = await make_key("alice"), await make_key("bob", rate="5/day")
    api = await start(Scripted())
    assert Counter(answer.status for answer in await at_once(api, 9, alice)) == {200: 3, 429: 6}
    assert Counter(answer.status for answer in await at_once(api, 9, bob)) == {200: 5, 429: 4}
    statuses = [
        (await api.call("GET", "/providers", headers={"X-API-Key": "the-key-of-this-service"})).status for _ in range(5)
    ]
    assert statuses == [200, 200, 200, 429, 429]


async def test_limit_of_the_service_applies_to_all_keys_together(
    start: Start, make_key: MakeKey, settings: Settings
) -> None:
    settings.RATE_LIMIT = "15/day"
    alice, bob = await make_key("alice", rate="10/day"), await make_key("bob")
    api = await start(Scripted())
    answers = await at_once(api, 25, alice, bob)
    assert Counter(answer.status for answer in answers) == {200: 15, 429: 35}
    assert (await api.call("GET", "/healthz")).status == 200
    refused = (await at_once(api, 1, bob))[0]
    assert refused.headers["RateLimit-Policy"] == '"service";q=15;w=86400'


async def test_without_keys_only_the_limit_of_the_service_applies(start: Start, settings: Settings) -> None:
    settings.RATE_LIMIT = "2/day"
    settings.RATE_LIMIT_PER_KEY = "1/day"
    api = await start(Scripted())
    assert [(await api.call("GET", "/providers")).status for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize(("proxies", "statuses"), [("127.0.0.1", {401}), ("", {401, 429})])
async def test_failed_attempts_are_counted_per_address_as_reported_by_a_trusted_proxy(
    start: Start, make_key: MakeKey, settings: Settings, proxies: str, statuses: set[int]
) -> None:
    settings.TRUSTED_PROXIES = networks(proxies)
    await make_key("alice")
    api = await start(Scripted())
    asking = [
        api.call("GET", "/providers", headers={"X-API-Key": "secret", "X-Forwarded-For": f"6.6.6.6, 1.2.3.{number}"})
        for number in range(70)
    ]
    assert {answer.status for answer in await asyncio.gather(*asking)} == statuses


async def test_many_failed_attempts_do_not_lock_out_other_callers(start: Start, make_key: MakeKey) -> None:
    alice = await make_key("alice")
    api = await start(Scripted())
    failing = [api.call("GET", "/providers", headers={"X-API-Key": "secret"}) for _ in range(80)]
    assert {answer.status for answer in await asyncio.gather(*failing)} == {401, 429}
    assert (await at_once(api, 1, alice))[0].status == 200


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
@pytest.mark.slow
async def test_processes_share_their_counters_through_a_server(
    tmp_path: Path, valkey: Valkey, database: str, request: pytest.FixtureRequest
) -> None:
    where = {"LOG_LEVEL": "error", "CHANNEL_LAYER_URL": valkey.url}
    if database == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        where["DATABASE_URL"] = migrated_postgres(server)
    secret = await asyncio.to_thread(
        lambda: managed(migrated(tmp_path), "create_api_key", "alice", "--rate", "10/day", **where).strip()
    )
    with ExitStack() as processes:

        def begin() -> str:
            return address(processes.enter_context(serving(tmp_path, **where))[0])

        addresses = await asyncio.gather(asyncio.to_thread(begin), asyncio.to_thread(begin))
        async with aiohttp.ClientSession(headers={"X-API-Key": secret}) as client:

            async def status(at: str) -> int:
                async with client.get(f"{at}/providers") as response:
                    return response.status

            statuses = await asyncio.gather(*(status(at) for at in addresses for _ in range(25)))
    assert Counter(statuses) == {200: 10, 429: 40}


async def test_processes_count_on_their_own_when_the_server_is_gone(valkey: Valkey) -> None:
    name = "test_where_the_server_is_gone"
    limiter = Limiter(re.sub(r":\d+/", ":1/", valkey.url))
    try:
        waits = [await limiter.take(rate("3/day"), name) for _ in range(5)]
        assert [wait is None for wait in waits] == [True, True, True, False, False]
    finally:
        await limiter.close()


async def test_counter_server_is_used_again_when_it_returns(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("access.limits.limiter.AWAY_SECONDS", 0.0)
    server = Valkey()
    limiter = Limiter(server.url)
    try:
        assert await limiter.take(rate("1/day"), "name") is None
        await asyncio.to_thread(server.start)
        assert await limiter.take(rate("1/day"), "name") is None
        wait = await limiter.take(rate("1/day"), "name")
        assert wait is not None
        assert wait >= 0  # The wait is 0 in the first moment of a day, when requests of the day before still count.
    finally:
        await limiter.close()
        server.stop()


async def test_number_of_counters_is_bounded() -> None:
    counters = Counters(most=2)
    first = counters.of("a")
    counters.of("b")
    assert counters.of("a") is first
    counters.of("c")
    assert counters.of("a") is first
    assert len(counters._counters) == 2


async def test_expired_windows_are_dropped() -> None:
    windows = Windows()
    for number in range(100):
        assert await windows.incr(f"window {number}", 0.0) == 1
    assert await windows.incr("the last", 60) == 1
    assert await windows.incr("the last", 60, amount=2) == 3
    assert list(windows.storage) == list(windows.expirations) == ["the last"]
