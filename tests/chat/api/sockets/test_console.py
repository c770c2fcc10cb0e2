"""The socket of the console's pages. Covers `access.users.staff_session`, `chat.history.changes`."""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session as LoginSession

from chat.engine.model_port import Finished, TokensUsed
from chat.history import changes
from chat.models import Run
from chat.providers.scripted import Scripted, text
from tests.chat.admin.staff import session_of, staff
from tests.conftest import Api, Start

STOP = Finished(reason="stop")
USED = TokensUsed(input_tokens=7, output_tokens=2)


def connected(api: Api, session: str) -> AbstractAsyncContextManager[aiohttp.ClientWebSocketResponse]:
    cookies = {"Cookie": f"sessionid={session}"} if session else {}
    return api.session.ws_connect(f"{api.base_url}/admin/live", headers=cookies, timeout=aiohttp.ClientWSTimeout(10))


async def changed(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    message: dict[str, Any] = await socket.receive_json(timeout=30)
    return message


async def test_only_staff_who_are_logged_in_can_connect(start: Start) -> None:
    api = await start(Scripted())
    customer = await User.objects.acreate(username="ann")
    former = await User.objects.acreate(username="bob", is_staff=True, is_active=False)
    sessions = ["", "made-up", "\\", await session_of(customer), await session_of(former)]
    for session in sessions:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with connected(api, session):
                pass
        assert refused.value.status == 403, session


@pytest.mark.parametrize(
    "message", ["", "{", "[]", '{"type": "watch"}', '{"type": "follow", "run": "x"}', '{"type": "x"}']
)
async def test_unknown_message_closes_the_socket(start: Start, message: str) -> None:
    api = await start(Scripted())
    async with connected(api, await session_of(await sync_to_async(staff)())) as socket:
        await socket.send_str(message)
        await socket.receive(timeout=30)
        assert socket.close_code == 4400


async def test_each_change_is_reported_and_one_that_was_missed_too(start: Start) -> None:
    api = await start(Scripted([text("One"), USED, STOP], [text("Two"), USED, STOP]))
    session = await session_of(await sync_to_async(staff)())
    shown = await sync_to_async(changes.cursor)()
    async with connected(api, session) as socket:
        await socket.send_json({"type": "watch", "cursor": shown})
        await api.ask(message="Hi")
        # Several states may be reported on the way: the last one is that of the database.
        while True:
            message = await changed(socket)
            assert message["type"] == "changed"
            if message["cursor"] == await sync_to_async(changes.cursor)():
                break
    await api.ask(message="Hi")
    async with connected(api, session) as socket:
        await socket.send_json({"type": "watch", "cursor": message["cursor"]})
        assert (await changed(socket))["cursor"] == await sync_to_async(changes.cursor)()


async def test_socket_is_closed_after_a_logout(start: Start) -> None:
    api = await start(Scripted([text("One"), USED, STOP]))
    async with connected(api, await session_of(await sync_to_async(staff)())) as socket:
        await socket.send_json({"type": "watch", "cursor": await sync_to_async(changes.cursor)()})
        await LoginSession.objects.all().adelete()
        await api.ask(message="Hi")
        message = await socket.receive(timeout=30)
        assert message.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED}
        assert socket.close_code == 4401


async def test_client_that_only_follows_a_run_is_closed_after_a_logout(start: Start) -> None:
    gate = asyncio.Event()
    api = await start(Scripted([text("Hel"), gate.wait, text("lo"), USED, STOP], [text("Two"), USED, STOP]))
    asking = asyncio.create_task(api.ask(message="Hi"))
    while (run := await Run.objects.afirst()) is None:
        await asyncio.sleep(0.01)
    try:
        async with connected(api, await session_of(await sync_to_async(staff)())) as socket:
            await socket.send_json({"type": "follow", "run": str(run.pk)})
            assert (await changed(socket))["type"] == "start"
            await LoginSession.objects.all().adelete()
            await api.ask(message="Another change")
            # Pings of the server would begin the client's own timeout again.
            async with asyncio.timeout(30):
                async for _ in socket:
                    pass
            assert socket.close_code == 4401
    finally:
        gate.set()
        await asking


async def test_events_of_a_run_end_when_the_permission_for_its_texts_is_taken_away(start: Start) -> None:
    gate = asyncio.Event()
    api = await start(Scripted([text("Hel"), gate.wait, text("lo"), USED, STOP]))
    asking = asyncio.create_task(api.ask(message="Hi"))
    while (run := await Run.objects.afirst()) is None:
        await asyncio.sleep(0.01)
    user = await sync_to_async(staff)("may", "chat.view_run", "chat.view_message")
    async with connected(api, await session_of(user)) as socket:
        await socket.send_json({"type": "follow", "run": str(run.pk)})
        assert (await changed(socket))["type"] == "start"
        shown = await sync_to_async(changes.cursor)()
        await socket.send_json({"type": "watch", "cursor": shown})
        await user.user_permissions.aclear()
        while (await changed(socket))["type"] != "changed":
            pass
        gate.set()
        await asking
        ended = await sync_to_async(changes.cursor)()
        while (message := await changed(socket)).get("cursor") != ended:
            assert message["type"] == "changed"


async def test_run_of_any_owner_is_followed_with_the_permissions_for_its_texts(start: Start) -> None:
    gate = asyncio.Event()
    api = await start(Scripted([text("Hel"), gate.wait, text("lo"), USED, STOP]))
    asking = asyncio.create_task(api.ask(message="Hi"))
    while (run := await Run.objects.afirst()) is None:
        await asyncio.sleep(0.01)
    may = await session_of(await sync_to_async(staff)("may", "chat.view_run", "chat.view_message"))
    may_not = await session_of(await sync_to_async(staff)("may-not", "chat.view_run"))
    async with connected(api, may) as socket, connected(api, may_not) as other:
        for each in (socket, other):
            await each.send_json({"type": "follow", "run": str(uuid4())})
            await each.send_json({"type": "follow", "run": str(run.pk)})
        gate.set()
        events: list[dict[str, Any]] = []
        while not events or events[-1]["type"] != "end":
            events.append(await changed(socket))
        assert "".join(event["token"] for event in events if event["type"] == "token") == "Hello"
        await asking
        # The answer to the next message shows that nothing came before it.
        await other.send_json({"type": "watch", "cursor": "old"})
        assert (await changed(other))["type"] == "changed"
