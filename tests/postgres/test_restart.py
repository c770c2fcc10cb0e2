"""A restart of PostgreSQL under open streams.

Covers `storage.connection_recovery`.
"""

import asyncio
import signal

import pytest

from tests.chat.providers.fake_openai import DONE, finish, said, streamed
from tests.postgres.conftest import Site
from tests.postgres.test_service import saying
from tests.servers import Postgres
from tests.streams import read_until

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.slow]


async def test_restart_of_postgres_is_survived(site: Site, postgres: Postgres) -> None:
    gate = asyncio.Event()
    site.fake.play(streamed(said("Before. "), said("After."), finish(), DONE, gate=gate))
    async with site.session.post(site.at(0) + "/chat/stream", json={"message": "Hi"}) as response:
        got = await read_until(response, b"Before")
        await asyncio.to_thread(postgres.stop, signal.SIGQUIT)
        try:
            async with asyncio.timeout(10):
                *refused, health = await asyncio.gather(
                    site.ask(message="Now?"), site.call("GET", "/chat/sessions"), site.call("GET", "/healthz")
                )
            assert [answer.status for answer in (*refused, health)] == [503, 503, 503]
            assert all(answer.headers["Retry-After"] and answer.json()["code"] == "storage" for answer in refused)
            gate.set()
            got += await read_until(response, b"After")
        finally:
            await asyncio.to_thread(postgres.start)
        async with asyncio.timeout(10):
            got += await response.read()
    assert b'"reason":"completed"' in got
    assert (await site.call("GET", response.headers["Content-Location"], process=1)).body == got
    site.fake.play(saying("Back."))
    assert (await site.ask(message="And now?")).text == "Back."


async def test_broken_connections_cost_no_request(site: Site, postgres: Postgres) -> None:
    site.fake.play(*(saying("Still here.") for _ in range(5)))
    database = site.database.rpartition("/")[2]
    for _ in range(5):
        await asyncio.gather(*(site.get("/chat/sessions") for _ in range(8)))
        postgres.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", database)
        async with asyncio.timeout(5):
            assert (await site.call("GET", "/chat/sessions")).status == 200
            assert (await site.ask(message="Hi")).text == "Still here."
