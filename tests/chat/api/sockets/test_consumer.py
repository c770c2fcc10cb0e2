"""`/ws/chat` over a real socket.

Covers `chat.api.sockets.commands`, `chat.api.sockets.messages`, `chat.api.sockets.runs`.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
from pytest_django import Settings

from access.caller import OPERATOR
from access.sockets import consumer as websocket
from chat.api.sockets import runs as socket_runs
from chat.api.sockets.consumer import ChatConsumer
from chat.engine.model_port import Finished, ToolCall
from chat.models import Run
from chat.providers.scripted import Scripted, text
from tests.conftest import Api, Start
from tools.resources import workspaces

STOP = Finished(reason="stop")
CALLS = Finished(reason="tool_calls")
KEY = "the-key-of-this-service"
NOBODYS = UUID(int=1)

Socket = aiohttp.ClientWebSocketResponse


@asynccontextmanager
async def connected(api: Api, **options: Any) -> AsyncIterator[Socket]:
    async with api.session.ws_connect(api.base_url.replace("http", "ws") + "/ws/chat", **options) as socket:
        yield socket


async def received(socket: Socket, kind: str, **fields: Any) -> list[dict[str, Any]]:
    """Return all messages up to the first one of a type that has these fields."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(10):
        while True:
            message = await socket.receive()
            assert message.type is aiohttp.WSMsgType.TEXT, (message, found)
            found.append(json.loads(message.data))
            if found[-1]["type"] == kind and all(found[-1].get(name) == value for name, value in fields.items()):
                return found


async def test_socket_receives_the_same_events_as_http(start: Start) -> None:
    api = await start(Scripted([text("Hel", "lo"), STOP]))
    async with connected(api) as socket:
        await socket.send_json({"type": "chat", "message": "Hi"})
        found = await received(socket, "end")
    run = found[0]["run_id"]
    assert {event.pop("run") for event in found} == {run}
    streamed = await api.call("GET", f"/chat/runs/{run}/stream")
    assert found == streamed.events
    assert [event["id"] for event in found] == list(range(1, len(found) + 1))


async def test_several_runs_share_a_socket_and_one_can_be_cancelled(start: Start) -> None:
    forever = asyncio.Event().wait
    api = await start(Scripted([text("One"), forever], [text("Two"), STOP]))
    async with connected(api) as socket:
        await socket.send_json({"type": "chat", "message": "1", "ref": "first"})
        first = (await received(socket, "token", token="One"))[0]["run_id"]
        await socket.send_json({"type": "chat", "message": "2"})
        await received(socket, "end", reason="completed")
        await socket.send_json({"type": "cancel", "run_id": first, "ref": "c"})
        found = await received(socket, "done", ref="c")
        if not any(event["type"] == "end" for event in found):
            found += await received(socket, "end")
    ended = next(event for event in found if event["type"] == "end")
    assert (ended["run"], ended["reason"]) == (first, "cancelled")


async def test_approval_is_given_on_the_same_socket(start: Start) -> None:
    write = ToolCall(call_id="c", name="fs.write", arguments='{"path": "socket.txt", "content": "x"}')
    api = await start(Scripted([write, CALLS], [text("Done."), STOP]), policy="ask fs.write source=model")
    async with connected(api) as socket:
        await socket.send_json({"type": "chat", "message": "write"})
        waits = (await received(socket, "approval_required"))[-1]
        wrong = {"type": "approve", "execution_id": waits["execution_id"], "params_sha256": "0" * 64}
        await socket.send_json(wrong)
        assert (await received(socket, "refused"))[-1]["code"] == "params_mismatch"
        await socket.send_json({**wrong, "params_sha256": waits["params_sha256"]})
        assert (await received(socket, "end"))[-1]["reason"] == "completed"
    assert workspaces().root.entry("socket.txt").size == 1


async def test_result_of_a_client_tool_is_given_on_the_same_socket(start: Start) -> None:
    api = await start(Scripted([ToolCall(call_id="c", name="ask", arguments="{}"), CALLS], [text("Done."), STOP]))
    async with connected(api) as socket:
        await socket.send_json({"type": "chat", "message": "ask", "client_tools": [{"name": "ask"}]})
        waits = (await received(socket, "client_tool_call"))[-1]
        answer = {"type": "result", "execution_id": waits["execution_id"]}
        await socket.send_json(answer)
        assert (await received(socket, "refused"))[-1]["status"] == 422
        await socket.send_json({**answer, "data": None, "ref": "r"})
        found = await received(socket, "done", ref="r")
        assert found[-1]["status"] == "succeeded"
        if not any(event["type"] == "end" for event in found):
            found += await received(socket, "end")
    assert next(event for event in found if event["type"] == "tool_result")["data"] is None


async def test_run_is_followed_from_a_cursor_and_continues_without_its_socket(start: Start) -> None:
    gate = asyncio.Event()
    api = await start(Scripted([text("Hel"), gate.wait, text("lo"), STOP]))
    async with connected(api) as socket:
        await socket.send_json({"type": "chat", "message": "Hi", "on_disconnect": "continue"})
        run = (await received(socket, "token"))[0]["run_id"]
    gate.set()
    async with connected(api) as socket:
        await socket.send_json({"type": "follow", "run_id": run, "after": 2})
        found = await received(socket, "end")
    assert found[0]["id"] == 3
    assert "".join(event.get("token", "") for event in found) == "lo"


async def test_one_idempotency_key_is_one_run(start: Start) -> None:
    api = await start(Scripted([text("Once."), STOP]))
    async with connected(api) as socket:
        runs = []
        for _ in range(3):
            await socket.send_json({"type": "chat", "message": "Hi", "idempotency_key": "k"})
            runs.append((await received(socket, "end"))[0]["run_id"])
    assert len(set(runs)) == 1


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ("not json", 400, "invalid_json"),
        ('{"type": "chat", "message": "\\ud800"}', 400, "invalid_json"),
        ('{"type": "chat", "message": "a", "message": "b"}', 400, "invalid_json"),
        ("[]", 422, "invalid_field"),
        ('{"message": "Hi"}', 422, "invalid_field"),
        ('{"type": "shout"}', 422, "invalid_field"),
        ('{"type": "chat"}', 422, "invalid_field"),
        ('{"type": "chat", "message": "Hi", "provider": "nobody"}', 422, "unknown_provider"),
        ('{"type": "chat", "message": "Hi", "more": 1}', 422, "invalid_field"),
        ('{"type": "cancel", "run_id": "x"}', 422, "invalid_field"),
        (json.dumps({"type": "cancel", "run_id": str(NOBODYS)}), 404, "not_found"),
        (json.dumps({"type": "follow", "run_id": str(NOBODYS)}), 404, "not_found"),
        (json.dumps({"type": "resume", "run_id": str(NOBODYS)}), 404, "not_found"),
        (json.dumps({"type": "approve", "execution_id": str(NOBODYS), "params_sha256": "0" * 64}), 404, "not_found"),
    ],
)
async def test_invalid_message_is_refused_and_the_socket_stays_open(
    start: Start, sent: str, status: int, code: str
) -> None:
    api = await start(Scripted([text("Still here."), STOP]))
    async with connected(api) as socket:
        await socket.send_str(sent)
        refused = (await received(socket, "refused"))[-1]
        assert (refused["status"], refused["code"]) == (status, code)
        await socket.send_json({"type": "chat", "message": "Hi"})
        assert (await received(socket, "end"))[-1]["reason"] == "completed"


async def test_number_of_runs_per_socket_is_limited(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_runs, "MAX_RUNS", 1)
    api = await start(Scripted([text("One"), asyncio.Event().wait], [text("Two"), STOP]))
    async with connected(api) as socket:
        await socket.send_json({"type": "chat", "message": "1"})
        await received(socket, "token")
        await socket.send_json({"type": "chat", "message": "2"})
        assert (await received(socket, "refused"))[-1]["code"] == "too_many_runs"


async def test_number_of_concurrent_messages_per_socket_is_limited(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "MAX_COMMANDS", 3)
    act, at_once, most = ChatConsumer._execute, 0, 0

    async def counted(self: ChatConsumer, *given: Any) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        try:
            await act(self, *given)
        finally:
            at_once -= 1

    monkeypatch.setattr(ChatConsumer, "_execute", counted)
    api = await start()
    async with connected(api) as socket:
        for number in range(50):
            await socket.send_json({"type": "cancel", "run_id": str(uuid4()), "ref": str(number)})
        refs = {(await received(socket, "refused"))[-1]["ref"] for _ in range(50)}
    assert refs == set(map(str, range(50)))
    assert 1 < most <= 4


async def test_socket_that_closes_before_it_follows_leaves_no_follower(start: Start, settings: Settings) -> None:
    settings.DISCONNECT_GRACE_SECONDS = 0
    api = await start(Scripted([text("One"), asyncio.Event().wait]))
    async with api.open({"message": "Hi"}) as response:
        run = response.headers["X-Run-Id"]
        socket = ChatConsumer()
        socket._runs.follow(UUID(run), OPERATOR, 0, hides_reasoning=False)
        await socket.disconnect(1000)
    async with asyncio.timeout(5):
        while (await api.get(f"/chat/runs/{run}"))["status"] != "cancelled":
            await asyncio.sleep(0.02)


async def test_page_of_another_origin_gets_no_socket(start: Start) -> None:
    api = await start()
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with connected(api, headers={"Origin": "https://evil.example"}):
            pass
    assert refused.value.status == 403


async def test_unknown_socket_path_is_rejected(start: Start) -> None:
    api = await start()
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await api.session.ws_connect(api.base_url.replace("http", "ws") + "/ws/else")


@pytest.mark.parametrize("way", ["header", "subprotocol", "message"])
async def test_key_is_accepted_in_three_ways(start: Start, settings: Settings, way: str) -> None:
    settings.API_KEY = KEY
    api = await start(Scripted([text("Hello"), STOP]))
    options: dict[str, Any] = {
        "header": {"headers": {"Authorization": f"Bearer {KEY}"}},
        "subprotocol": {"protocols": ["orchestrator", f"bearer.{KEY}"]},
        "message": {},
    }[way]
    async with connected(api, **options) as socket:
        assert socket.protocol == ("orchestrator" if way == "subprotocol" else None)
        if way == "message":
            await socket.send_json({"type": "chat", "message": "Hi"})
            assert (await received(socket, "refused"))[-1]["status"] == 401
            await socket.send_json({"type": "auth", "key": KEY})
        await socket.send_json({"type": "chat", "message": "Hi"})
        assert (await received(socket, "end"))[-1]["reason"] == "completed"


@pytest.mark.parametrize("options", [{"headers": {"X-API-Key": "wrong"}}, {"protocols": ["bearer.wrong"]}])
async def test_wrong_key_closes_the_socket(start: Start, settings: Settings, options: dict[str, Any]) -> None:
    settings.API_KEY = KEY
    api = await start()
    async with connected(api, **options) as socket:
        assert (await received(socket, "refused"))[-1]["code"] == "unauthorized"
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == websocket.UNAUTHORIZED


async def leave_after(text: str) -> list[str]:
    """Send one message and disconnect at once, so that the service can send nothing more. Return what it tried."""
    tried: list[str] = []
    events = iter(("connect", "receive", "disconnect"))

    async def receive() -> dict[str, Any]:
        return {"type": f"websocket.{next(events)}", "text": text, "code": 1000}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] != "websocket.accept":
            tried.append(message["type"])
            raise OSError

    scope = {"type": "websocket", "headers": [], "client": ("127.0.0.1", 1), "subprotocols": []}
    await ChatConsumer.as_asgi()(scope, receive, send)
    return tried


async def test_wrong_key_of_a_client_that_has_left_is_no_fault(
    start: Start, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.API_KEY = KEY
    await start(Scripted())
    assert await leave_after('{"type": "auth", "key": "another"}') == ["websocket.send", "websocket.close"]
    assert "socket.broken" not in caplog.text


@pytest.mark.parametrize(("on_disconnect", "status"), [("cancel", "cancelled"), ("continue", "completed")])
async def test_run_begins_although_its_socket_closed_meanwhile(
    start: Start, settings: Settings, on_disconnect: str, status: str
) -> None:
    settings.DISCONNECT_GRACE_SECONDS = 0
    hold = asyncio.Event()
    await start(Scripted([text("One"), hold.wait, STOP]))
    await leave_after(json.dumps({"type": "chat", "message": "Hi", "on_disconnect": on_disconnect}))
    if on_disconnect == "continue":
        hold.set()
    async with asyncio.timeout(5):
        while (run := await Run.objects.afirst()) is None or run.status == "running":
            await asyncio.sleep(0.02)
    assert run.status == status


async def test_socket_without_a_key_is_closed_in_time(
    start: Start, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "AUTH_SECONDS", 0.05)
    settings.API_KEY = KEY
    api = await start()
    async with connected(api) as socket:
        assert (await received(socket, "refused"))[-1]["code"] == "unauthorized"
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
