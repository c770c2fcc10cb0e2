"""How many requests are let in: of a key, and of all together; in one process and in several."""

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
from tests.managing import managed
from tests.orchestrator_site.test_serve import address, serving
from tests.servers import Postgres, Valkey
from tests.streams import Answer


async def at_once(api: Api, count: int, *holders: Holder) -> list[Answer]:
    asking = [api.call("GET", "/providers", headers=holder.headers) for holder in holders for _ in range(count)]
    return await asyncio.gather(*asking)


async def test_of_fifty_at_once_a_limit_of_ten_lets_in_ten(start: Start, make_key: MakeKey) -> None:
    alice, bob = await make_key("alice", rate="10/day"), await make_key("bob")
    api = await start(Scripted())
    answers = await at_once(api, 50, alice)
    assert Counter(answer.status for answer in answers) == {200: 10, 429: 40}
    refused = next(answer for answer in answers if answer.status == 429)
    told = refused.json()
    assert told["code"] == "rate_limited"
    wait = int(refused.headers["Retry-After"])
    assert 0 < wait <= 86_400
    assert told["detail"] == [{"policy": "key", "retry_after": wait}]
    assert refused.headers["RateLimit-Policy"] == '"key";q=10;w=86400'
    assert refused.headers["RateLimit"] == f'"key";r=0;t={wait}'
    assert {answer.status for answer in await at_once(api, 20, bob)} == {200}


async def test_keys_without_a_rate_have_the_settings(start: Start, make_key: MakeKey, settings: Settings) -> None:
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


async def test_the_whole_service_has_a_limit(start: Start, make_key: MakeKey, settings: Settings) -> None:
    settings.RATE_LIMIT = "15/day"
    alice, bob = await make_key("alice", rate="10/day"), await make_key("bob")
    api = await start(Scripted())
    answers = await at_once(api, 25, alice, bob)
    assert Counter(answer.status for answer in answers) == {200: 15, 429: 35}
    assert (await api.call("GET", "/healthz")).status == 200
    refused = (await at_once(api, 1, bob))[0]
    assert refused.headers["RateLimit-Policy"] == '"service";q=15;w=86400'


async def test_without_any_key_the_limit_of_the_service_holds(start: Start, settings: Settings) -> None:
    settings.RATE_LIMIT = "2/day"
    settings.RATE_LIMIT_PER_KEY = "1/day"
    api = await start(Scripted())
    assert [(await api.call("GET", "/providers")).status for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize(("proxies", "statuses"), [("127.0.0.1", {401}), ("", {401, 429})])
async def test_who_fails_is_counted_by_an_address_that_only_a_trusted_proxy_can_tell(
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


async def test_whoever_fails_often_does_not_keep_others_out(start: Start, make_key: MakeKey) -> None:
    alice = await make_key("alice")
    api = await start(Scripted())
    failing = [api.call("GET", "/providers", headers={"X-API-Key": "secret"}) for _ in range(80)]
    assert {answer.status for answer in await asyncio.gather(*failing)} == {401, 429}
    assert (await at_once(api, 1, alice))[0].status == 200


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
async def test_processes_count_together_where_they_have_a_server_for_it(
    tmp_path: Path, valkey: Valkey, database: str, request: pytest.FixtureRequest
) -> None:
    where = {"LOG_LEVEL": "error", "CHANNEL_LAYER_URL": valkey.url}
    if database == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        where["DATABASE_URL"] = server.database()
    secret = await asyncio.to_thread(
        lambda: managed(tmp_path, "create_api_key", "alice", "--rate", "10/day", **where).strip()
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


async def test_where_the_server_is_gone_each_process_counts_for_itself(valkey: Valkey) -> None:
    name = "test_where_the_server_is_gone"
    limiter = Limiter(re.sub(r":\d+/", ":1/", valkey.url))
    try:
        waits = [await limiter.take(rate("3/day"), name) for _ in range(5)]
        assert [wait is None for wait in waits] == [True, True, True, False, False]
    finally:
        await limiter.close()


async def test_a_server_that_comes_back_is_asked_again(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("access.limits.limiter.AWAY_SECONDS", 0.0)
    server = Valkey()
    limiter = Limiter(server.url)
    try:
        assert await limiter.take(rate("1/day"), "name") is None
        await asyncio.to_thread(server.start)
        assert await limiter.take(rate("1/day"), "name") is None
        wait = await limiter.take(rate("1/day"), "name")
        assert wait is not None
        assert wait >= 0  # 0 in the first moment of a day, which still counts what was let in before it
    finally:
        await limiter.close()
        server.stop()


async def test_counters_are_bounded() -> None:
    counters = Counters(most=2)
    first = counters.of("a")
    counters.of("b")
    assert counters.of("a") is first
    counters.of("c")
    assert counters.of("a") is first
    assert len(counters._counters) == 2


async def test_windows_that_are_over_are_not_kept() -> None:
    windows = Windows()
    for number in range(100):
        assert await windows.incr(f"window {number}", 0.0) == 1
    assert await windows.incr("the last", 60) == 1
    assert await windows.incr("the last", 60, amount=2) == 3
    assert list(windows.storage) == list(windows.expirations) == ["the last"]
