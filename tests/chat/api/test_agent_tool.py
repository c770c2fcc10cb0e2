"""`agent.run`, the agent as a tool of the MCP server, with the clients of the SDK; bad arguments first.

Covers `chat.api.agent_tool`, `tools.mcp_server.agents`.
"""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from chat.engine.model_port import Finished, ProviderError, ToolCall
from chat.models import Run
from chat.providers.scripted import Scripted, text
from tests.access.conftest import MakeKey
from tests.conftest import Start
from tests.tools.mcp_server.conftest import DEADLINE, Person, Printer, Serve, connected, modern, post, rows, until
from tests.tools.mcp_server.conftest import make_key as make_key
from tests.tools.mcp_server.conftest import printer as printer
from tests.tools.mcp_server.conftest import serve as serve
from tools.mcp_server.calls import open_calls

STOP = Finished(reason="stop")
CALLS = [ToolCall(call_id="c1", name="slow.print", arguments='{"text": "a"}'), Finished(reason="tool_calls")]
STREAM = {"Accept": "application/json, text/event-stream"}
ASK = "ask slow.print"


def call(number: Any = 1, token: Any = None, **arguments: Any) -> dict[str, Any]:
    meta = {} if token is None else {"_meta": {"progressToken": token}}
    params = {"name": "agent.run", "arguments": arguments, **meta}
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}


async def status_of(run_id: str) -> str:
    return str((await Run.objects.aget(id=run_id)).status)


async def test_invalid_arguments_start_no_run(serve: Serve, make_key: MakeKey) -> None:
    alice, bob = await make_key("alice", "chat"), await make_key("bob", "chat")
    api = await serve(Scripted([text("Hi"), STOP]))
    theirs = (await api.call("POST", "/chat/stream", json={"message": "x"}, headers=bob.headers)).one("start")
    for arguments, problem in (
        ({}, "invalid_params: "),
        ({"message": 5}, "invalid_params: "),
        ({"message": "x", "tools": []}, "invalid_params: "),
        ({"message": "x", "session_id": "y"}, "invalid_params: "),
        ({"message": "x", "run_id": str(uuid4())}, "invalid_params: "),
        ({"message": "x", "model": "\n"}, "invalid_params: "),
        ({"message": "x", "provider": "nobody"}, "unknown_provider: "),
        ({"message": "x", "session_id": theirs["session_id"]}, "not_found: "),
        ({"run_id": theirs["run_id"]}, "not_found: "),
        ({"run_id": str(uuid4())}, "not_found: "),
    ):
        result = (await post(api, call(**arguments), alice)).json()["result"]
        assert result["isError"]
        assert result["content"][0]["text"].startswith(problem), result
    assert await Run.objects.acount() == 1


async def test_agent_needs_the_scope_chat(serve: Serve, make_key: MakeKey) -> None:
    alice = await make_key("alice", "tools")
    api = await serve()
    async with connected(api, alice, "auto") as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["slow.print"]
    assert (await post(api, call(message="x"), alice)).json()["error"]["code"] == -32602


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_agent_answers_with_progress_and_keeps_its_session(
    serve: Serve, printer: Printer, make_key: MakeKey, mode: Any
) -> None:
    printer.may_end.set()
    alice = await make_key("alice", "chat", "tools")
    model = Scripted([text("Let me see. "), *CALLS], [text("It is ", "done."), STOP], [text("Again."), STOP])
    api = await serve(model)
    said: list[str] = []
    counts: list[float] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        said.append(message or "")
        counts.append(progress)

    async with connected(api, alice, mode) as client:
        assert "agent.run" in {tool.name for tool in (await client.list_tools()).tools}
        done = await client.call_tool("agent.run", {"message": "Print a"}, progress_callback=on_progress)
        fields = done.structured_content
        assert done.content[0].text == fields["text"] == "Let me see. It is done."
        assert (done.is_error, fields["status"], fields["reason"]) == (False, "completed", "completed")
        assert "[slow.print runs]" in "".join(said)
        assert counts == sorted(set(counts))
        again = await client.call_tool("agent.run", {"message": "And now?", "session_id": fields["session_id"]})
        assert again.structured_content["session_id"] == fields["session_id"]
        followed = await client.call_tool("agent.run", {"run_id": fields["run_id"]})
        assert followed.structured_content == fields
    assert str(model.requests[2].messages[0]).count("Print a") == 1


async def test_failed_run_is_a_failed_result_with_its_text(serve: Serve, make_key: MakeKey) -> None:
    alice = await make_key("alice", "chat")
    failure = ProviderError("The service is gone.", code="provider_unavailable", retryable=False)
    api = await serve(Scripted([text("Half"), failure]))
    result = (await post(api, call(message="x"), alice)).json()["result"]
    assert (result["isError"], result["structuredContent"]["status"]) == (True, "failed")
    assert result["content"][0]["text"] == "Half\nThe service is gone."


@pytest.mark.parametrize("way", ["close", "notification", "elsewhere"])
async def test_cancelled_call_cancels_the_run(
    serve: Serve, printer: Printer, make_key: MakeKey, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await make_key("alice", "chat", "tools")
    api = await serve(Scripted(CALLS))
    own = {**alice.headers, **STREAM}
    async with api.session.post(f"{api.base_url}/mcp", json=call(3, "t", message="x"), headers=own) as response:
        await asyncio.wait_for(printer.started.wait(), DEADLINE)
        run = await Run.objects.aget()
        if way == "close":
            response.close()
        else:
            if way == "elsewhere":
                # This process forgets the call, as if the notification had come to another one.
                open_calls.current()._calls.clear()
            cancelling = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 3}}
            assert (await post(api, cancelling, alice)).status == 202
        await asyncio.wait_for(printer.cancelled.wait(), DEADLINE)

        async def is_cancelled() -> bool:
            return await status_of(str(run.id)) == "cancelled"

        await until(is_cancelled)
    assert (await rows(api, alice))[0]["status"] == "cancelled"


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
@pytest.mark.parametrize("decision", ["approve", "deny"])
async def test_person_at_the_client_decides_for_the_run(
    serve: Serve, printer: Printer, make_key: MakeKey, mode: Any, decision: str
) -> None:
    printer.may_end.set()
    alice = await make_key("alice", "chat", "tools", "approve")
    person = Person(decision=decision)
    api = await serve(Scripted(CALLS, [text("Done."), STOP]), policy=ASK)
    async with connected(api, alice, mode, elicitation_callback=person) as client:
        done = await client.call_tool("agent.run", {"message": "x"})
    fields = done.structured_content
    assert (done.is_error, fields["text"], len(person.questions)) == (False, "Done.", 1)
    (row,) = await rows(api, alice)
    expected = ("succeeded", ["a"]) if decision == "approve" else ("denied", [])
    assert (row["status"], printer.texts, row["run_id"]) == (*expected, fields["run_id"])


async def test_run_that_waits_is_followed_later_by_a_client_that_cannot_be_asked(
    serve: Serve, printer: Printer, make_key: MakeKey
) -> None:
    printer.may_end.set()
    alice = await make_key("alice", "chat", "tools", "approve")
    api = await serve(Scripted([text("First. "), *CALLS], [text("Printed."), STOP]), policy=ASK)
    waits = (await post(api, call(message="x"), alice)).json()["result"]
    fields = waits["structuredContent"]
    assert (waits["isError"], fields["status"], fields["text"]) == (False, "waiting", "First. ")
    assert f"agent.run with run_id {fields['run_id']}" in waits["content"][0]["text"]
    assert (await post(api, call(run_id=fields["run_id"]), alice)).json()["result"] == waits
    execution = fields["approval"]["execution_id"]
    body = {"params_sha256": fields["approval"]["params_sha256"]}
    await api.call("POST", f"/tools/executions/{execution}/approve", json=body, headers=alice.headers)
    done = (await post(api, call(run_id=fields["run_id"]), alice)).json()["result"]
    assert done["structuredContent"]["text"] == "First. Printed."
    assert printer.texts == ["a"]


async def test_state_of_a_run_is_bound_and_can_be_used_without_an_answer(
    serve: Serve, printer: Printer, make_key: MakeKey
) -> None:
    printer.may_end.set()
    alice, bob = await make_key("alice", "chat", "tools", "approve"), await make_key("bob", "chat", "approve")
    api = await serve(Scripted(CALLS, [text("Printed."), STOP]), policy=ASK)

    async def send(holder: Any, **params: Any) -> Any:
        given = {"name": "agent.run", "arguments": {"message": "x"}, **params}
        message, headers = modern("tools/call", 2, elicits=True, **given)
        return (await post(api, message, holder, **headers)).json()

    asked = (await send(alice))["result"]
    assert asked["inputRequests"]["approval"]["method"] == "elicitation/create"
    state = asked["requestState"]
    approve = {"approval": {"action": "accept", "content": {"decision": "approve"}}}
    assert (await send(bob, requestState=state, inputResponses=approve))["error"]["code"] == -32602
    other = await send(alice, name="slow.print", requestState=state, inputResponses=approve)
    assert other["error"]["code"] == -32602
    again = (await send(alice, requestState=state))["result"]
    assert again["inputRequests"] == asked["inputRequests"]
    assert printer.texts == []
    done = (await send(alice, requestState=again["requestState"], inputResponses=approve))["result"]
    replayed = (await send(alice, requestState=state, inputResponses=approve))["result"]
    assert done["structuredContent"]["text"] == replayed["structuredContent"]["text"] == "Printed."
    assert printer.texts == ["a"]
    assert await Run.objects.acount() == 1


async def test_agent_runs_without_persistence(start: Start, printer: Printer, make_key: MakeKey) -> None:
    alice = await make_key("alice", "chat")
    api = await start(Scripted([text("Hi"), STOP]), stored=False)
    fields = (await post(api, call(message="x"), alice)).json()["result"]["structuredContent"]
    assert (fields["text"], fields["status"], fields["session_id"]) == ("Hi", "completed", None)
    again = (await post(api, call(run_id=fields["run_id"]), alice)).json()["result"]["structuredContent"]
    assert again == fields


async def test_call_that_is_cancelled_while_its_run_waits_ends_the_run(
    serve: Serve, printer: Printer, make_key: MakeKey
) -> None:
    asking = asyncio.Event()

    async def never(context: Any, params: Any) -> Any:
        asking.set()
        await asyncio.Event().wait()

    alice = await make_key("alice", "chat", "tools", "approve")
    api = await serve(Scripted(CALLS), policy=ASK)
    async with connected(api, alice, "legacy", elicitation_callback=never) as client:
        calling = asyncio.create_task(client.call_tool("agent.run", {"message": "x"}))
        await asyncio.wait_for(asking.wait(), DEADLINE)
        calling.cancel()

        async def is_cancelled() -> bool:
            return [run.status async for run in Run.objects.all()] == ["cancelled"]

        await until(is_cancelled)
    assert (await rows(api, alice))[0]["status"] == "cancelled"
