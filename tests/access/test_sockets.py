"""Keys on a WebSocket: authentication, and the scopes, ownership and limits of each message."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from access.authenticator import Authenticator, ClientInfo
from access.caller import Caller
from access.sockets import consumer as websocket
from chat.api.sockets.messages import SCOPES
from tests.access.belongings import POLICY, belongings, model
from tests.access.conftest import Holder, MakeKey, revoke
from tests.chat.api.sockets.test_consumer import Socket, connected, received
from tests.conftest import Start

MESSAGES = {
    "chat": ("session", {"message": "Hi", "session_id": "ID"}),
    "follow": ("run", {"run_id": "ID"}),
    "cancel": ("run", {"run_id": "ID"}),
    "resume": ("interrupted", {"run_id": "ID"}),
    "approve": ("waiting", {"execution_id": "ID", "params_sha256": "HASH"}),
    "deny": ("waiting", {"execution_id": "ID", "params_sha256": "HASH"}),
    "result": ("waiting", {"execution_id": "ID", "data": "x"}),
}
"""Each message type except `auth`, with the type of record that its id names and its other fields."""


def filled(fields: dict[str, str], named: str, params_sha256: str) -> dict[str, str]:
    return {name: {"ID": named, "HASH": params_sha256}.get(value, value) for name, value in fields.items()}


async def refusal(socket: Socket, **message: Any) -> dict[str, Any]:
    await socket.send_json(message)
    found = (await received(socket, "refused"))[-1]
    found.pop("ref", None)
    return found


def test_every_message_type_is_covered() -> None:
    assert set(MESSAGES) == set(SCOPES)


async def test_records_of_another_owner_are_404(start: Start, make_key: MakeKey) -> None:
    alice, bob = await make_key("alice"), await make_key("bob")
    api = await start(model(), policy=POLICY)
    hers = await belongings(api, alice)
    async with connected(api, headers=bob.headers) as socket:
        for kind, (named, fields) in MESSAGES.items():
            real = await refusal(socket, type=kind, **filled(fields, getattr(hers, named), hers.params_sha256))
            made_up = await refusal(socket, type=kind, **filled(fields, str(uuid4()), hers.params_sha256))
            assert real == made_up, kind
            assert real["status"] == 404, kind


async def test_auditor_can_only_follow_runs(start: Start, make_key: MakeKey) -> None:
    alice, charlie = await make_key("alice"), await make_key("charlie", "audit")
    api = await start(model(), policy=POLICY)
    hers = await belongings(api, alice)
    async with connected(api, headers=charlie.headers) as socket:
        for kind, (named, fields) in MESSAGES.items():
            message = {"type": kind, **filled(fields, getattr(hers, named), hers.params_sha256)}
            if kind == "follow":
                await socket.send_json(message)
                assert (await received(socket, "end"))[0]["run_id"] == hers.run
            else:
                assert (await refusal(socket, **message))["code"] == "scope", kind


@pytest.mark.parametrize("word", ["speech", "keys", "approve", "fs.read"])
async def test_each_message_needs_its_scope(start: Start, make_key: MakeKey, word: str) -> None:
    alice = await make_key("alice", word)
    api = await start(model())
    async with connected(api, headers=alice.headers) as socket:
        for kind, (_, fields) in MESSAGES.items():
            found = await refusal(socket, type=kind, **filled(fields, str(uuid4()), "0" * 64))
            assert (found["code"] == "scope") is (word not in SCOPES[kind]), kind


@pytest.mark.parametrize("way", ["header", "subprotocol", "message"])
async def test_socket_accepts_a_key_in_any_of_three_ways(start: Start, make_key: MakeKey, way: str) -> None:
    alice = await make_key("alice")
    api = await start(model())
    async with connected(api, **options(way, alice)) as socket:
        if way == "message":
            await socket.send_json({"type": "auth", "key": alice.secret})
        await socket.send_json({"type": "chat", "message": "Hi"})
        assert (await received(socket, "end"))[-1]["reason"] == "completed"
    (session,) = (await api.get("/chat/sessions", headers=alice.headers))["items"]
    assert session["owner"] == alice.owner


async def test_messages_wait_until_the_key_is_authenticated(
    start: Start, make_key: MakeKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await make_key("alice")
    api = await start(model())
    sent, identify = asyncio.Event(), Authenticator.identify

    async def identified_late(self: Authenticator, client_info: ClientInfo, offered: Sequence[bytes] = ()) -> Caller:
        if offered:
            await sent.wait()
            await api.get("/healthz")
        return await identify(self, client_info, offered)

    monkeypatch.setattr(Authenticator, "identify", identified_late)
    async with connected(api) as socket:
        await socket.send_json({"type": "auth", "key": alice.secret})
        await socket.send_json({"type": "chat", "message": "Hi"})
        sent.set()
        found = await received(socket, "end")
    assert "refused" not in {message["type"] for message in found}


@pytest.mark.parametrize("ways", [("header", "subprotocol"), ("header", "message"), ("subprotocol", "message")])
async def test_two_keys_close_the_socket(start: Start, make_key: MakeKey, ways: tuple[str, str]) -> None:
    alice = await make_key("alice")
    api = await start(model())
    async with connected(api, **{**options(ways[0], alice), **options(ways[1], alice)}) as socket:
        if "message" in ways:
            await socket.send_json({"type": "auth", "key": alice.secret})
        assert (await received(socket, "refused"))[-1]["code"] == "two_keys"
        assert await close_code(socket) == websocket.UNAUTHORIZED


async def test_revoked_key_is_rejected_on_its_next_message(start: Start, make_key: MakeKey) -> None:
    alice = await make_key("alice")
    silent = model()
    api = await start(silent)
    async with connected(api, headers=alice.headers) as socket:
        await revoke(alice)
        assert (await refusal(socket, type="chat", message="Hi"))["code"] == "key_revoked"
        assert await close_code(socket) == websocket.UNAUTHORIZED
    assert silent.requests == []


async def test_messages_count_toward_the_rate_limit(start: Start, make_key: MakeKey) -> None:
    alice = await make_key("alice", rate="2/day")
    api = await start(model())
    async with connected(api, headers=alice.headers) as socket:
        for _ in range(2):
            await socket.send_json({"type": "chat", "message": "Hi"})
            await received(socket, "end")
        found = await refusal(socket, type="chat", message="Hi")
    assert (found["status"], found["code"]) == (429, "rate_limited")
    assert found["detail"][0]["retry_after"] > 0
    assert (await api.call("GET", "/providers", headers=alice.headers)).status == 429


async def test_first_key_closes_sockets_that_were_opened_without_one(start: Start, make_key: MakeKey) -> None:
    api = await start(model())
    async with connected(api) as socket:
        await socket.send_json({"type": "chat", "message": "Hi"})
        await received(socket, "end")
        await make_key("alice")
        while (await socket_answer(socket)) == "end":
            pass
        assert await close_code(socket) == websocket.UNAUTHORIZED


async def socket_answer(socket: Socket) -> str:
    """Return the socket's reply to one more message: the end of a run, or a refusal."""
    await socket.send_json({"type": "follow", "run_id": str(uuid4())})
    (found,) = [message for message in await received(socket, "refused") if message["type"] == "refused"]
    return "end" if found["status"] == 404 else "refused"


async def close_code(socket: Socket) -> int | None:
    assert (await socket.receive(timeout=10)).type is aiohttp.WSMsgType.CLOSE
    return socket.close_code


def options(way: str, holder: Holder) -> dict[str, Any]:
    found: dict[str, dict[str, Any]] = {
        "header": {"headers": holder.headers},
        "subprotocol": {"protocols": ["orchestrator", f"bearer.{holder.secret}"]},
        "message": {},
    }
    return found[way]
