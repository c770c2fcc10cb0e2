"""Open streams and sockets end when their key is revoked or expires, in every process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from django.utils import timezone

from access import authenticator
from access.sockets import consumer as websocket
from chat.providers.scripted import Scripted, text
from orchestrator_site.http import api_handler
from tests.access.conftest import Holder, MakeKey, change, revoke
from tests.chat.api.sockets.test_consumer import connected, received
from tests.chat.providers.fake_openai import said, streamed
from tests.chat.runs.cluster.test_processes import DEADLINE, Stream
from tests.conftest import Api, Start
from tests.fake_service import FakeService, fake_service
from tests.managing import managed, migrated, migrated_postgres
from tests.orchestrator_site.test_serve import address, serving
from tests.servers import Postgres

pytestmark = pytest.mark.slow

SECONDS = 5
"""Seconds in which everything that a revoked key holds open must end."""

End = Callable[[Holder], Awaitable[None]]


def streams() -> list[UUID]:
    """Return the key ids of the streams that are open in this process."""
    held = authenticator.current().revocations._held.items()
    return [
        key for key, ends in held for end in ends if isinstance(getattr(end, "__self__", None), api_handler._Streaming)
    ]


async def expire(holder: Holder) -> None:
    await change(holder, expires=timezone.now() - timedelta(seconds=1))


def endless() -> Scripted:
    forever = asyncio.Event()
    return Scripted(*([text("Half"), forever.wait] for _ in range(4)))


@pytest.mark.parametrize("end", [revoke, expire])
async def test_revocation_ends_the_streams_and_sockets_of_that_key_only(
    start: Start, make_key: MakeKey, end: End
) -> None:
    alice, bob = await make_key("alice"), await make_key("bob")
    api = await start(endless())
    async with opened(api, alice) as hers, opened(api, bob) as his, connected(api, headers=alice.headers) as socket:
        await socket.send_json({"type": "chat", "message": "Hi"})
        await received(socket, "token")
        await end(alice)
        async with asyncio.timeout(SECONDS):
            body = await hers.rest()
            refused = (await received(socket, "refused"))[-1]
            assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert b"Half" in body
        assert refused["code"] in {"key_revoked", "key_expired"}
        assert socket.close_code == websocket.UNAUTHORIZED
        assert streams() == [bob.id]
        assert not his.response.content.at_eof()


class opened:  # noqa: N801 - it is used like a function
    """Open a stream of an endless answer, as a context manager."""

    def __init__(self, api: Api, holder: Holder) -> None:
        self._response = api.session.post(f"{api.base_url}/chat/stream", json={"message": "Hi"}, headers=holder.headers)

    async def __aenter__(self) -> Stream:
        stream = Stream(await self._response.__aenter__())
        await stream.until(b"Half")
        return stream

    async def __aexit__(self, *of: object) -> None:
        await self._response.__aexit__(*of)


async def test_stream_with_a_stalled_reader_is_closed_too(start: Start, make_key: MakeKey) -> None:
    alice = await make_key("alice")
    api = await start(Scripted([text(*["x" * 100_000] * 200), asyncio.Event().wait]))
    async with api.session.post(
        f"{api.base_url}/chat/stream", json={"message": "Hi"}, headers=alice.headers
    ) as response:
        await response.content.readany()
        await revoke(alice)
        async with asyncio.timeout(SECONDS):
            while streams():
                await asyncio.sleep(0.02)


async def test_ended_streams_are_released(start: Start, make_key: MakeKey, settings: Any) -> None:
    settings.DISCONNECT_GRACE_SECONDS = 0
    alice = await make_key("alice")
    api = await start(endless())
    async with opened(api, alice):
        assert streams() == [alice.id]
    async with asyncio.timeout(SECONDS):
        while streams():
            await asyncio.sleep(0.02)


@pytest.fixture
async def fake() -> AsyncIterator[FakeService]:
    async with fake_service() as service:
        yield service


@pytest.fixture
def processes() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
async def test_revocation_ends_open_streams_in_every_process(
    fake: FakeService, tmp_path: Path, processes: ExitStack, database: str, request: pytest.FixtureRequest
) -> None:
    where = {}
    if database == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        where = {"DATABASE_URL": migrated_postgres(server)}
    secret = await asyncio.to_thread(lambda: managed(migrated(tmp_path), "create_api_key", "alice", **where).strip())
    headers = {"Authorization": f"Bearer {secret}"}
    given = {"OPENAI_BASE_URL": f"{fake.url}/v1", "OPENAI_API_KEY": "x", "LOG_LEVEL": "error", **where}

    def begin() -> str:
        return address(processes.enter_context(serving(tmp_path, **given))[0])

    one, other = await asyncio.gather(asyncio.to_thread(begin), asyncio.to_thread(begin))
    fake.play(*(streamed(said("Half"), ending="silence") for _ in range(2)))
    timeout = aiohttp.ClientTimeout(total=DEADLINE)
    async with (
        aiohttp.ClientSession(timeout=timeout, headers=headers) as client,
        client.post(f"{one}/chat/stream", json={"message": "Hi"}) as response,
        client.ws_connect(f"{other.replace('http', 'ws')}/ws/chat") as socket,
    ):
        stream = Stream(response)
        await stream.until(b"Half")
        await socket.send_json({"type": "chat", "message": "Hi"})
        await received(socket, "token")
        await asyncio.to_thread(lambda: managed(tmp_path, "revoke_api_key", "alice", **where))
        async with asyncio.timeout(SECONDS):
            for address_of_one in (one, other):
                async with client.get(f"{address_of_one}/chat/sessions") as refused:
                    assert (refused.status, (await refused.json())["code"]) == (401, "key_revoked")
            await stream.rest()
            assert (await received(socket, "refused"))[-1]["code"] == "key_revoked"
            assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
    async with aiohttp.ClientSession() as client, client.get(f"{other}/chat/sessions") as rejected:
        assert rejected.status == 401
