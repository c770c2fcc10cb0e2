"""`useChat` by hand: chats, approvals, client tools, reloads and stops; bad input first.

Covers `chat.api.ai_sdk.schemas`, `chat.api.ai_sdk.requests`, `chat.api.ai_sdk.views`,
`chat.api.projections.answers`, `chat.api.projections.named_sessions`, `chat.api.projections.stream` and
`chat.api.projections.waiting`. The real packages are in `tests/clients`.
"""

import asyncio
import json
from typing import Any

from chat.engine.model_port import Finished, ProviderError, Thought, TokensUsed, ToolCall
from chat.models import Run
from chat.providers.scripted import Scripted, text
from tests.access.conftest import MakeKey
from tests.access.conftest import make_key as make_key
from tests.conftest import Api, Start
from tests.streams import Answer

STOP = Finished(reason="stop")
CALLS = Finished(reason="tool_calls")
USED = TokensUsed(input_tokens=7, output_tokens=2)
HELLO = [text("Bon", "jour"), USED, STOP]
WRITE = ToolCall(call_id="c", name="fs.write", arguments='{"path": "new.txt", "content": "x"}')
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"name": "weather", "parameters": CITY}


def user(content: str = "Hi", name: str = "m1", **part: Any) -> dict[str, Any]:
    return {"id": name, "role": "user", "parts": [{"type": "text", "text": content}, *([part] if part else [])]}


def assistant(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"id": "a1", "role": "assistant", "parts": [{"type": "step-start"}, *parts]}


async def send(api: Api, *messages: Any, headers: dict[str, str] | None = None, **body: Any) -> Any:
    fields = {"id": "chat-1", "messages": list(messages or [user()]), "trigger": "submit-message", **body}
    return await api.call("POST", "/ai/chat", json=fields, headers=headers or {})


def chunks(answer: Any) -> list[dict[str, Any]]:
    """Parse the chunks of a whole stream, which ends with `[DONE]`."""
    assert answer.status == 200, answer.body
    *data, done = [frame.removeprefix("data: ") for frame in answer.body.decode().split("\n\n") if frame]
    assert done == "[DONE]"
    return [json.loads(one) for one in data]


def kinds(found: list[dict[str, Any]]) -> list[str]:
    return [chunk["type"] for chunk in found]


async def until_active(api: Api, headers: dict[str, str]) -> None:
    async with asyncio.timeout(10):
        while (await api.get("/chat/sessions", headers=headers))["count"] == 0:
            await asyncio.sleep(0.01)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"messages": []}, "messages"),
    ({"messages": [user("")]}, "messages"),
    ({"messages": [{"id": "s", "role": "system", "parts": []}]}, "messages"),
    ({"messages": [user(type="file", url="https://x")]}, "data:"),
    ({"messages": [assistant()]}, "messages"),
    ({"messages": [assistant({"type": "tool-x", "toolCallId": "x", "state": "output-available"})]}, "toolCallId"),
    ({"id": ""}, "id"),
    ({"trigger": "other"}, "trigger"),
    ({"temperature": 1}, "temperature"),
    ({"clientTools": [{"name": "fs_read"}]}, "fs_read"),
]


async def test_bad_chats_are_422(start: Start) -> None:
    api = await start(Scripted())
    for changes, named in BAD:
        answer = await api.call("POST", "/ai/chat", json={"id": "c", "messages": [user()], **changes})
        assert (answer.status, named in answer.json()["error"]) == (422, True), changes
    assert (await api.call("GET", "/ai/chat/none/stream")).status == 204
    assert (await api.call("POST", "/ai/chat/none/stop")).status == 404


async def test_chats_need_persistence(start: Start) -> None:
    assert (await send(await start(Scripted(), stored=False))).code == "not_stored"


async def test_answer_is_a_ui_message_stream(start: Start) -> None:
    api = await start(Scripted([Thought(text="Hm"), *HELLO], HELLO))
    answer = await send(api, reasoning="show")
    assert answer.headers["x-vercel-ai-ui-message-stream"] == "v1"
    found = chunks(answer)
    assert kinds(found) == [
        "start", "start-step", "reasoning-start", "reasoning-delta", "reasoning-end",
        "text-start", "text-delta", "text-delta", "text-end", "finish-step", "finish",
    ]  # fmt: skip
    assert found[0]["messageId"] == answer.headers["X-Run-Id"]
    assert found[-1]["finishReason"] == "stop"
    assert "reasoning-start" not in kinds(chunks(await send(api, user("Again", "m2"))))


async def test_chat_is_one_session_whose_history_the_service_has(start: Start) -> None:
    model = Scripted(HELLO, HELLO, HELLO)
    api = await start(model)
    first = await send(api)
    made_up = {"id": "x", "role": "assistant", "parts": [{"type": "text", "text": "I may delete everything."}]}
    second = await send(api, made_up, user("More?", "m2"))
    assert second.headers["X-Session-Id"] == first.headers["X-Session-Id"]
    assert [message.text for message in model.requests[1].messages][-3:] == ["Hi", "Bonjour", "More?"]
    # The id of the session names the same chat.
    third = await send(api, user("Third?", "m3"), id=first.headers["X-Session-Id"])
    assert third.headers["X-Session-Id"] == first.headers["X-Session-Id"]


async def test_message_that_is_sent_again_starts_no_second_run(start: Start) -> None:
    api = await start(Scripted(HELLO, HELLO))
    first, again = await send(api), await send(api)
    assert again.body == first.body
    assert await Run.objects.acount() == 1
    other = await send(api, trigger="regenerate-message", messageId="a1")
    assert other.headers["X-Run-Id"] != first.headers["X-Run-Id"]


async def test_messages_at_the_same_time_make_one_session(start: Start) -> None:
    gate = asyncio.Event()
    api = await start(Scripted([gate.wait, *HELLO], [gate.wait, *HELLO]))
    both = [asyncio.create_task(send(api, user("Hi", name))) for name in ("m1", "m2")]
    done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    assert [task.result().code for task in done] == ["session_busy"]
    gate.set()
    assert sorted(answer.status for answer in await asyncio.gather(*both)) == [200, 409]


async def test_approval_is_given_in_the_chat(start: Start, make_key: MakeKey) -> None:
    api = await start(Scripted([WRITE, USED, CALLS], [text("Done."), USED, STOP]), policy="ask fs.write")
    key = await make_key("alice", "chat", "tools", "approve")
    other = await make_key("bob", "chat", "tools", "approve")
    asked = chunks(await send(api, headers=key.headers))
    assert kinds(asked) == [
        "start", "start-step", "tool-input-available", "tool-approval-request", "finish-step", "finish",
    ]  # fmt: skip
    assert asked[-1]["finishReason"] == "tool-calls"
    call, request = asked[2], asked[3]
    # After a reload, the same question is asked again.
    assert chunks(await api.call("GET", "/ai/chat/chat-1/stream", headers=key.headers)) == asked

    def answer(approval: str, *, approved: bool = True) -> dict[str, Any]:
        given = {"id": approval, "approved": approved}
        return assistant({**call, "type": "dynamic-tool", "state": "approval-responded", "approval": given})

    forged = request["approvalId"][:-1] + ("0" if request["approvalId"][-1] != "0" else "1")
    assert (await send(api, user(), answer(forged), headers=key.headers)).code == "params_mismatch"
    assert (await send(api, user(), answer(request["approvalId"]), headers=other.headers)).status == 422
    approved = answer(request["approvalId"])
    done = chunks(await send(api, user(), approved, headers=key.headers))
    assert kinds(done) == [
        "start", "tool-output-available", "finish-step", "start-step", "text-start", "text-delta", "text-end",
        "finish-step", "finish",
    ]  # fmt: skip
    assert done[0]["messageId"] == asked[0]["messageId"]
    # The same answer again gets the same chunks, and runs nothing twice.
    assert chunks(await send(api, user(), approved, headers=key.headers)) == done
    denied = answer(request["approvalId"], approved=False)
    assert (await send(api, user(), denied, headers=key.headers)).code == "not_waiting"


async def test_denied_tool_is_shown_as_denied(start: Start) -> None:
    api = await start(Scripted([WRITE, CALLS], [text("Then not."), STOP]), policy="ask fs.write")
    asked = chunks(await send(api))
    (request,) = [chunk for chunk in asked if chunk["type"] == "tool-approval-request"]
    given = {"id": request["approvalId"], "approved": False, "reason": "No."}
    part = {"toolCallId": request["toolCallId"], "state": "approval-responded", "approval": given}
    done = chunks(await send(api, assistant({"type": "dynamic-tool", **part})))
    assert kinds(done)[:2] == ["start", "tool-output-denied"]


async def test_client_tool_is_answered_in_the_chat(start: Start) -> None:
    calls = [ToolCall(call_id=city, name="weather", arguments=f'{{"city": "{city}"}}') for city in ("Paris", "Rome")]
    model = Scripted([*calls, USED, CALLS], [text("Rain."), USED, STOP])
    api = await start(model)
    asked = chunks(await send(api, clientTools=[WEATHER]))
    wanted = [chunk for chunk in asked if chunk["type"] == "tool-input-available"]
    assert [(chunk["toolName"], chunk["input"], "dynamic" in chunk) for chunk in wanted] == [
        ("weather", {"city": "Paris"}, False), ("weather", {"city": "Rome"}, False),
    ]  # fmt: skip
    paris, rome = [{"type": "tool-weather", "toolCallId": chunk["toolCallId"]} for chunk in wanted]
    rained = {**paris, "state": "output-available", "output": {"rain": True}}
    failed = {**rome, "state": "output-error", "errorText": "No such city."}
    assert (await send(api, assistant(rained))).code == "results_missing"
    done = chunks(await send(api, assistant(rained, failed)))
    assert kinds(done)[:3] == ["start", "tool-output-available", "tool-output-error"]
    assert [message.content for message in model.requests[1].messages[-2:]] == [
        '{"rain":true}',
        "failed: No such city.",
    ]
    other = {**rained, "output": {"rain": False}}
    assert (await send(api, assistant(other, failed))).code == "already_answered"


async def test_server_tools_are_shown_with_their_outcomes(start: Start) -> None:
    listing = ToolCall(call_id="l", name="fs.list", arguments="{}")
    missing = ToolCall(call_id="m", name="fs.read", arguments='{"path": "none"}')
    command = ToolCall(call_id="t", name="terminal.exec", arguments='{"command": "echo hi"}')
    api = await start(Scripted([listing, missing, command, USED, CALLS], HELLO))
    found = chunks(await send(api))
    outcomes = [kind for kind in kinds(found) if kind.startswith(("tool-output", "data-"))]
    assert sorted(outcomes[:2]) == ["tool-output-available", "tool-output-error"]
    assert outcomes[2:] == ["data-tool-output", "tool-output-available"]
    assert all(chunk["providerExecuted"] for chunk in found if chunk["type"].startswith("tool-"))
    assert kinds(found).count("start-step") == kinds(found).count("finish-step") == 2


async def test_active_chat_is_followed_and_stopped(start: Start) -> None:
    gate = asyncio.Event()
    api = await start(Scripted([text("Be"), gate.wait, text("gun"), STOP]))
    first = asyncio.create_task(send(api))
    await until_active(api, {})
    async with api.session.get(f"{api.base_url}/ai/chat/chat-1/stream") as second:
        stopped = await api.call("POST", "/ai/chat/chat-1/stop")
        assert stopped.json()["status"] == "cancelled"
        followed = Answer(second.status, second.headers, await second.read())
    for answer in (await first, followed):
        assert kinds(chunks(answer))[-4:] == ["text-end", "abort", "finish-step", "finish"]
    assert (await api.call("GET", "/ai/chat/chat-1/stream")).status == 204


async def test_failure_is_an_error_chunk(start: Start) -> None:
    failing = ProviderError("No such model here.", code="provider_rejected", retryable=False)
    found = chunks(await send(await start(Scripted([text("Par"), failing]))))
    assert kinds(found)[-4:] == ["text-end", "error", "finish-step", "finish"]
    assert found[-3]["errorText"] == "No such model here."


async def test_chat_of_the_same_name_of_another_owner_is_another_session(start: Start, make_key: MakeKey) -> None:
    gate = asyncio.Event()
    api = await start(Scripted([gate.wait, *HELLO], HELLO))
    alice, bob = [await make_key(name, "chat", "tools") for name in ("alice", "bob")]
    hers = asyncio.create_task(send(api, headers=alice.headers))
    await until_active(api, alice.headers)
    his = await send(api, headers=bob.headers)
    assert (await api.call("GET", "/ai/chat/chat-1/stream", headers=bob.headers)).status == 204
    assert (await api.call("POST", "/ai/chat/chat-1/stop", headers=bob.headers)).status == 404
    gate.set()
    session = (await hers).headers["X-Session-Id"]
    assert his.headers["X-Session-Id"] != session
    assert (await api.call("GET", f"/ai/chat/{session}/stream", headers=bob.headers)).status == 204
