"""A process's watch on keys, without a server in front of it."""

import asyncio
from typing import Any

import pytest

from access.keys import revocation
from access.keys.revocation import RevocationWatcher
from storage.writer import StorageUnavailable, writer
from tests.access.conftest import MakeKey, revoke, row_of
from web.errors import ApiError

pytestmark = pytest.mark.django_db(transaction=True)


async def test_revocation_is_noticed_in_a_process_without_requests(make_key: MakeKey) -> None:
    alice, bob = await make_key("alice"), await make_key("bob")
    revoked: asyncio.Future[ApiError] = asyncio.get_running_loop().create_future()
    watching = RevocationWatcher()
    try:
        watching.on_revoked(alice.id, revoked.set_result)
        release = watching.on_revoked(bob.id, lambda _: pytest.fail("nobody shut it"))
        await revoke(alice)
        async with asyncio.timeout(5):
            assert (await revoked).code == "key_revoked"
        release()
        release()
        assert not watching._held
        assert watching.keyed is True
    finally:
        await watching.close()


async def test_key_with_a_deleted_row_is_revoked(make_key: MakeKey) -> None:
    alice = await make_key("alice")
    revoked: asyncio.Future[ApiError] = asyncio.get_running_loop().create_future()
    watching = RevocationWatcher()
    try:
        watching.on_revoked(alice.id, revoked.set_result)
        row = await row_of(alice)
        await writer.write(row.delete)
        async with asyncio.timeout(5):
            assert (await revoked).status == 401
    finally:
        await watching.close()


async def test_without_a_key_nothing_is_watched() -> None:
    watching = RevocationWatcher()
    watching.on_revoked(None, lambda _: pytest.fail("there is no key"))()
    assert watching._task is None


async def test_no_revocation_is_lost_while_the_database_is_unavailable(
    make_key: MakeKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await make_key("alice")
    revoked: asyncio.Future[ApiError] = asyncio.get_running_loop().create_future()
    failed = asyncio.Event()

    async def away(*_: Any) -> Any:
        failed.set()
        raise StorageUnavailable("It is away.")

    monkeypatch.setattr(revocation, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(revocation, "NOTE_SECONDS", 0.0)
    watching = RevocationWatcher()
    try:
        with monkeypatch.context() as patch:
            patch.setattr(revocation, "read", away)
            watching.on_revoked(alice.id, revoked.set_result)
            async with asyncio.timeout(5):
                await failed.wait()
        failed.clear()
        with monkeypatch.context() as patch:
            patch.setattr(revocation.writer, "write", away)
            watching.use(alice.id)
            async with asyncio.timeout(5):
                await failed.wait()
        await revoke(alice)
        async with asyncio.timeout(5):
            await revoked
    finally:
        await watching.close()
    assert (await row_of(alice)).last_used is not None
