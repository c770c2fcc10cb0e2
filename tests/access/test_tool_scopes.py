"""Tools per key: those that a model is offered and may call, and those that a caller may run."""

import asyncio
from typing import Any

import pytest

from chat.engine.model_port import Finished, ToolCall
from chat.providers.scripted import Scripted, text
from tests.access.belongings import until_waiting
from tests.access.conftest import MakeKey, make_user, revoke
from tests.conftest import Start
from tools import conf
from tools.resources import workspaces

STOP = Finished(reason="stop")
CALLS = Finished(reason="tool_calls")
LIST = ToolCall(call_id="d", name="fs.list", arguments="{}")


def write(path: str) -> ToolCall:
    return ToolCall(call_id="c", name="fs.write", arguments=f'{{"path": "{path}", "content": "x"}}')


async def test_model_is_offered_only_the_tools_of_the_key(start: Start, make_key: MakeKey) -> None:
    alice = await make_key("alice", "chat", "fs.l*", "git.*")
    model = Scripted([text("Hello"), STOP], [text("Hello"), STOP])
    api = await start(model)
    for body in ({"message": "Hi"}, {"message": "Hi", "tools": ["fs.*", "terminal.*"]}):
        await api.call("POST", "/chat/stream", json=body, headers=alice.headers)
    first, second = [{tool.name for tool in request.tools} for request in model.requests]
    assert first == {
        *("fs.list", "git.status", "git.diff", "git.log", "git.show"),
        *("git.add", "git.commit", "git.branch", "git.switch"),
    }
    assert second == {"fs.list"}
    listed = {tool["name"] for tool in (await api.get("/tools", headers=alice.headers))["items"]}
    # A list shows tools that are off, which no model is offered.
    assert listed == {*first, "git.clone", "git.create_pr"}


async def test_model_call_of_a_tool_outside_the_scopes_is_denied_and_recorded(start: Start, make_key: MakeKey) -> None:
    alice = await make_key("alice", "chat", "fs.list")
    api = await start(Scripted([write("denied.txt"), LIST, CALLS], [text("Well."), STOP]))
    answer = await api.call("POST", "/chat/stream", json={"message": "Hi"}, headers=alice.headers)
    error = answer.one("tool_error")
    assert (error["tool"], error["code"]) == ("fs.write", "denied")
    assert "fs.write" in error["error"]
    assert answer.one("tool_result")["tool"] == "fs.list"
    row = await api.get(f"/tools/executions/{error['execution_id']}", headers=alice.headers)
    assert (row["status"], row["code"], row["source"]) == ("denied", "denied", "model")
    assert answer.one("end")["reason"] == "completed"
    assert not (conf.workspace_base() / "denied.txt").exists()


async def test_caller_runs_only_the_tools_of_the_key(start: Start, make_key: MakeKey) -> None:
    alice = await make_key("alice", "chat", "fs.list")
    api = await start(Scripted())
    calls = [{"name": "fs.list"}, {"name": "fs.read", "params": {"path": "x"}}, {"name": "fs.nothing"}]
    answer = await api.call("POST", "/chat/stream", json={"tool_calls": calls}, headers=alice.headers)
    assert answer.one("tool_result")["tool"] == "fs.list"
    codes = {event["tool"]: event["code"] for event in answer.events if event["type"] == "tool_error"}
    assert codes == {"fs.read": "denied", "fs.nothing": "unknown_tool"}


async def test_output_of_a_call_needs_the_scope_of_that_call(start: Start, make_key: MakeKey) -> None:
    user = await make_user("alice")
    reader = await make_key("reader", "chat", "tools", user_id=user)
    (workspaces().at(reader.owner).base / "long.txt").write_text("a line of the long file\n" * 10_000)
    other = await make_key("other", "chat", "output.read", user_id=user)
    api = await start(Scripted())
    body = {"tool_calls": [{"name": "fs.read", "params": {"path": "long.txt"}}]}
    done = await api.call("POST", "/chat/stream", json=body, headers=reader.headers)
    params = {"execution_id": done.one("tool_result")["execution_id"]}
    again = {"tool_calls": [{"name": "output.read", "params": params}]}
    own = await api.call("POST", "/chat/stream", json=again, headers=reader.headers)
    answer = await api.call("POST", "/chat/stream", json=again, headers=other.headers)
    assert "a line of the long file" in own.one("tool_result")["data"]["text"]
    assert answer.one("tool_error")["code"] == "denied"
    assert "fs.read" in answer.one("tool_error")["error"]


@pytest.mark.parametrize("params", [{"path": "a.wav"}, {"text": "x", "path": "a.mp3"}])
async def test_speech_tool_with_a_path_needs_the_scope_of_the_file_tool(
    start: Start, make_key: MakeKey, params: dict[str, str]
) -> None:
    alice = await make_key("alice", "chat", "speech.*")
    api = await start(Scripted())
    name = "speech.synthesize" if "text" in params else "speech.transcribe"
    body = {"tool_calls": [{"name": name, "params": params}]}
    answer = await api.call("POST", "/chat/stream", json=body, headers=alice.headers)
    error = answer.one("tool_error")
    assert (error["code"], error["error"][-9:].strip(" .")) == (
        "denied",
        "fs.write" if "text" in params else "fs.read",
    )


@pytest.mark.parametrize("end", ["revoked", "live"])
async def test_approved_call_is_checked_against_the_key_as_it_is_now(start: Start, make_key: MakeKey, end: str) -> None:
    user = await make_user("alice")
    one, other = await make_key("one", user_id=user), await make_key("other", user_id=user)
    api = await start(Scripted([write("allowed.txt"), CALLS], [text("Well."), STOP]), policy="ask fs.write")
    asking: asyncio.Task[Any] = asyncio.create_task(
        api.call("POST", "/chat/stream", json={"message": "Hi", "on_disconnect": "continue"}, headers=one.headers)
    )
    waits = await until_waiting(api, one)
    if end == "revoked":
        await revoke(one)
    path = f"/tools/executions/{waits['id']}"
    body = {"params_sha256": waits["params_sha256"]}
    assert (await api.call("POST", f"{path}/approve", json=body, headers=other.headers)).status == 200
    async with asyncio.timeout(10):
        while (row := await api.get(path, headers=other.headers))["ended"] is None:
            await asyncio.sleep(0.02)
    assert (row["status"], row["code"]) == (("cancelled", "cancelled") if end == "revoked" else ("succeeded", None))
    asking.cancel()
