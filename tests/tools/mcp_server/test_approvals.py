"""Calls that need an approval: asked at the client, decided elsewhere, forged and replayed; bad input first.

Covers `tools.mcp_server.calls.waiting`, `tools.mcp_server.messages.questions`, `tools.mcp_server.seals`.
"""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from mcp import types

from chat.engine.model_port import Finished, ToolCall
from chat.providers.scripted import Scripted
from chat.runs.cluster import maintenance
from tests.access.conftest import MakeKey
from tests.conftest import Api
from tests.tools.mcp_server.conftest import (
    DEADLINE,
    Person,
    Printer,
    Serve,
    connected,
    modern,
    post,
    rows,
    until,
)
from tools.mcp_server.calls import waiting
from tools.mcp_server.calls.exchange import end_all
from tools.mcp_server.messages import questions
from tools.mcp_server.messages.protocol import RpcError
from tools.models import ToolExecution

ASK = "ask slow.print"
CALLS = [ToolCall(call_id="c1", name="slow.print", arguments='{"text": "a"}'), Finished(reason="tool_calls")]
APPROVE = {"action": "accept", "content": {"decision": "approve"}}


@pytest.mark.parametrize(
    "given",
    [
        None,
        [],
        "accept",
        {},
        {"action": "yes"},
        {"action": []},
        {"action": "accept"},
        {"action": "accept", "content": []},
        {"action": "accept", "content": {}},
        {"action": "accept", "content": {"decision": True}},
        {"action": "accept", "content": {"decision": ["approve"]}},
        {"action": "accept", "content": {"decision": "approved"}},
        {"action": "accept", "content": {"decision": "approve", "note": 5}},
    ],
)
def test_what_is_no_answer_decides_nothing(given: Any) -> None:
    with pytest.raises(RpcError):
        questions.answer_of(given)


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        (APPROVE, "approved"),
        ({"action": "accept", "content": {"decision": "deny"}}, "denied"),
        ({"action": "decline"}, "denied"),
        ({"action": "cancel"}, "denied"),
        ({"action": "decline", "content": {"decision": "approve"}}, "denied"),
        ({"action": "cancel", "content": {"decision": "approve"}}, "denied"),
    ],
)
def test_only_an_accepted_decision_to_approve_approves(given: Any, verdict: str) -> None:
    assert questions.answer_of(given).verdict == verdict


def test_ids_of_questions_are_read_strictly() -> None:
    assert questions.asked_about(f"approval:{uuid4()}:abc") is not None
    for other in (
        5,
        "",
        "approval",
        "approval:x:y",
        f"approval:{uuid4()}",
        f"other:{uuid4()}:a",
        f"approval:{uuid4()}:a:b",
    ):
        assert questions.asked_about(other) is None


async def asked(api: Api, holder: Any, **arguments: Any) -> dict[str, Any]:
    """Call the tool as a client of the stateless protocol that can ask, and return the question."""
    message, headers = modern("tools/call", elicits=True, name="slow.print", arguments=arguments)
    result: dict[str, Any] = (await post(api, message, holder, **headers)).json()["result"]
    assert result["resultType"] == "input_required"
    return result


async def answered(api: Api, holder: Any, state: Any, answer: Any = APPROVE, **arguments: Any) -> Any:
    """Repeat the call with an answer."""
    responses = {} if answer is None else {"inputResponses": {"approval": answer}}
    params = {"name": "slow.print", "arguments": arguments, "requestState": state, **responses}
    message, headers = modern("tools/call", 2, elicits=True, **params)
    return await post(api, message, holder, **headers)


async def test_forged_foreign_and_altered_states_decide_nothing(
    serve: Serve, printer: Printer, make_key: MakeKey
) -> None:
    alice, bob = await make_key("alice", "tools", "chat", "approve"), await make_key("bob", "tools", "chat", "approve")
    api = await serve(policy=ASK)
    printer.may_end.set()
    state = (await asked(api, alice, text="a"))["requestState"]
    opened = await post(api, {"jsonrpc": "2.0", "id": 1, "method": "initialize"}, alice)
    session = opened.headers["Mcp-Session-Id"]
    states: tuple[Any, ...] = (
        state[:-1],
        state[1:],
        f"{state}x",
        "x",
        "",
        "e30:1:x",
        session,
        5,
        ["x"],
        {},
        "y" * 100_000,
        "\ud7ff",
    )
    for forged in states:
        refused = await answered(api, alice, forged, text="a")
        assert (refused.status, refused.json()["error"]["code"]) == (400, -32602)
    assert (await answered(api, bob, state, text="a")).json()["error"]["code"] == -32602
    # The params are others than those that were shown.
    assert (await answered(api, alice, state, text="b")).json()["error"]["code"] == -32602
    responses: tuple[Any, ...] = ([], "x", {"approval": {"action": "accept"}}, {"approval": None})
    for malformed in responses:
        params = {"name": "slow.print", "arguments": {"text": "a"}, "requestState": state}
        message, headers = modern("tools/call", 2, elicits=True, **params, inputResponses=malformed)
        assert (await post(api, message, alice, **headers)).json()["error"]["code"] == -32602
    (row,) = await rows(api, alice)
    assert (row["status"], row["decision"], printer.texts) == ("awaiting_approval", None, [])
    assert await rows(api, bob) == []


async def test_replayed_answer_runs_the_tool_once(serve: Serve, printer: Printer, make_key: MakeKey) -> None:
    alice = await make_key("alice", "tools", "chat", "approve")
    api = await serve(policy=ASK)
    printer.may_end.set()
    state = (await asked(api, alice, text="a"))["requestState"]
    both = await asyncio.gather(*(answered(api, alice, state, text="a") for _ in range(3)))
    results = [answer.json()["result"] for answer in both]
    assert [result["isError"] for result in results].count(False) == 1
    again = (await answered(api, alice, state, text="a")).json()["result"]
    assert again["isError"]
    assert "succeeded already" in again["content"][0]["text"]
    assert printer.texts == ["a"]
    (row,) = await rows(api, alice)
    assert (row["status"], row["decision"], row["decided_by"]) == ("succeeded", "approved", alice.owner)


async def test_state_without_an_answer_is_asked_again_and_follows_a_decision_made_elsewhere(
    serve: Serve, printer: Printer, make_key: MakeKey
) -> None:
    alice = await make_key("alice", "tools", "chat", "approve")
    api = await serve(policy=ASK)
    printer.may_end.set()
    first = await asked(api, alice, text="a")
    # The same call again is the same question.
    assert (await asked(api, alice, text="a"))["inputRequests"] == first["inputRequests"]
    again = (await answered(api, alice, first["requestState"], None, text="a")).json()["result"]
    assert again["inputRequests"] == first["inputRequests"]
    (row,) = await rows(api, alice)
    body = {"params_sha256": row["params_sha256"], "note": "no"}
    denied = await api.call("POST", f"/tools/executions/{row['id']}/deny", json=body, headers=alice.headers)
    assert denied.status == 200
    # A decision that came first counts, whatever the person at the client says.
    late = (await answered(api, alice, first["requestState"], text="a")).json()["result"]
    assert late["content"][0]["text"] == "denied: The call was denied. no"
    assert (await rows(api, alice))[0]["status"] == "denied"
    assert printer.texts == []


async def test_key_without_the_scope_is_not_asked_and_its_answer_decides_nothing(
    serve: Serve, printer: Printer, make_key: MakeKey
) -> None:
    alice = await make_key("alice", "tools", "chat")
    api = await serve(policy=ASK)
    message, headers = modern("tools/call", elicits=True, name="slow.print", arguments={})
    result = (await post(api, message, alice, **headers)).json()["result"]
    assert (result["resultType"], result["isError"]) == ("complete", True)
    waits = result["structuredContent"]
    assert waits["status"] == "awaiting_approval"
    number = f"approval:{waits['execution_id']}:{waits['params_sha256']}"
    refused = await post(api, {"jsonrpc": "2.0", "id": number, "result": APPROVE}, alice)
    assert (refused.status, refused.json()["code"]) == (403, "scope")
    assert (await rows(api, alice))[0]["decision"] is None


async def test_answers_to_questions_that_were_not_asked_are_refused(serve: Serve, make_key: MakeKey) -> None:
    alice, bob = await make_key("alice", "tools", "chat", "approve"), await make_key("bob", "tools", "approve")
    api = await serve(policy=ASK)
    await asked(api, alice, text="a")
    (row,) = await rows(api, alice)
    number = f"approval:{row['id']}:{row['params_sha256']}"
    for wrong, status in (
        ({"id": 5, "result": APPROVE}, 400),
        ({"id": "approval:x:y", "result": APPROVE}, 400),
        ({"id": number, "result": []}, 400),
        ({"id": number, "result": APPROVE, "error": {}}, 400),
        ({"id": number}, 400),
        ({"result": APPROVE}, 400),
        ({"id": number, "result": {"action": "accept"}}, 200),
        ({"id": f"approval:{uuid4()}:{row['params_sha256']}", "result": APPROVE}, 404),
        ({"id": f"approval:{row['id']}:{'0' * 64}", "result": APPROVE}, 409),
    ):
        assert (await post(api, {"jsonrpc": "2.0", **wrong}, alice)).status == status
    assert (await post(api, {"jsonrpc": "2.0", "id": number, "result": APPROVE}, bob)).status == 404
    assert (await rows(api, alice))[0]["decision"] is None


async def test_client_that_cannot_be_asked_repeats_the_call_after_its_approval(
    serve: Serve, printer: Printer, make_key: MakeKey
) -> None:
    alice = await make_key("alice", "tools", "chat", "approve")
    api = await serve(policy=ASK)
    printer.may_end.set()
    async with connected(api, alice, "2026-07-28") as client:
        for _ in range(2):
            waits = await client.call_tool("slow.print", {"text": "a"})
            assert waits.is_error
        (row,) = await rows(api, alice)
        assert waits.structured_content["execution_id"] == row["id"]
        body = {"params_sha256": row["params_sha256"]}
        await api.call("POST", f"/tools/executions/{row['id']}/approve", json=body, headers=alice.headers)
        done = await client.call_tool("slow.print", {"text": "a"})
        assert done.structured_content == {"printed": "a"}
        # The approval was for one execution.
        assert (await client.call_tool("slow.print", {"text": "a"})).is_error
    assert printer.texts == ["a"]
    assert [row["status"] for row in await rows(api, alice)] == ["awaiting_approval", "succeeded"]


async def test_calls_that_wait_are_bounded_and_expire(
    serve: Serve, make_key: MakeKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "MAX_WAITING", 2)
    monkeypatch.setattr(maintenance, "LOOK_SECONDS", 0.02)
    alice = await make_key("alice", "tools", "chat", "approve")
    api = await serve(policy=ASK)
    states = [(await asked(api, alice, text=text))["requestState"] for text in ("a", "b")]
    message, headers = modern("tools/call", elicits=True, name="slow.print", arguments={"text": "c"})
    full = (await post(api, message, alice, **headers)).json()["result"]
    assert full["content"][0]["text"].startswith("conflict: At most")
    await ToolExecution.objects.all().aupdate(expires=timezone.now())
    late = (await answered(api, alice, states[0], text="a")).json()["result"]
    assert late["content"][0]["text"] == "denied: The approval expired before anyone decided."
    # A call that its client does not continue is closed too, by the maintenance of the service.
    await api.service.open()

    async def all_closed() -> bool:
        return {row["status"] for row in await rows(api, alice)} == {"denied"}

    await until(all_closed)


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
@pytest.mark.parametrize(
    "answer",
    [
        (Person(decision="approve"), '{"printed":"a"}'),
        (Person(decision="deny", note="not now"), "denied: The call was denied. not now"),
        (Person("decline"), "denied: The call was denied."),
        (Person("cancel"), "denied: The call was denied. The question was closed without an answer."),
    ],
    ids=["approve", "deny", "decline", "cancel"],
)
async def test_person_at_the_client_of_the_sdk_decides(
    serve: Serve, printer: Printer, make_key: MakeKey, mode: Any, answer: tuple[Person, str]
) -> None:
    person, text = answer
    person.questions.clear()
    alice = await make_key("alice", "tools", "chat", "approve")
    api = await serve(policy=ASK)
    printer.may_end.set()
    async with connected(api, alice, mode, elicitation_callback=person) as client:
        done = await client.call_tool("slow.print", {"text": "a"})
    assert done.content[0].text == text
    (question,) = person.questions
    assert 'May slow.print run with these params?\n{\n  "text": "a"\n}' in question.message
    (row,) = await rows(api, alice)
    assert row["params_sha256"] in question.message
    status = "denied" if text.startswith("denied") else "succeeded"
    assert (row["status"], row["decided_by"]) == (status, alice.owner)


async def test_client_that_fails_to_ask_denies(serve: Serve, make_key: MakeKey) -> None:
    async def broken(context: Any, params: Any) -> types.ErrorData:
        return types.ErrorData(code=-32603, message="no screen")

    alice = await make_key("alice", "tools", "chat", "approve")
    api = await serve(policy=ASK)
    async with connected(api, alice, "legacy", elicitation_callback=broken) as client:
        done = await client.call_tool("slow.print", {"text": "a"})
    assert done.content[0].text == "denied: The call was denied. The client could not ask its user."


async def test_call_that_is_cancelled_while_it_is_asked_is_recorded_as_cancelled(
    serve: Serve, printer: Printer, make_key: MakeKey
) -> None:
    asking = asyncio.Event()

    async def never(context: Any, params: Any) -> types.ElicitResult:
        asking.set()
        await asyncio.Event().wait()
        raise AssertionError

    alice = await make_key("alice", "tools", "chat", "approve")
    api = await serve(policy=ASK)
    async with connected(api, alice, "legacy", elicitation_callback=never) as client:
        calling = asyncio.create_task(client.call_tool("slow.print", {"text": "a"}))
        await asyncio.wait_for(asking.wait(), DEADLINE)
        calling.cancel()

        async def is_cancelled() -> bool:
            (row,) = await rows(api, alice)
            return bool(row["status"] == "cancelled")

        await until(is_cancelled)
    assert printer.texts == []


@pytest.mark.parametrize("tool", ["slow.print", "agent.run"])
async def test_call_that_waits_survives_the_end_of_its_process(
    serve: Serve, printer: Printer, make_key: MakeKey, tool: str
) -> None:
    alice = await make_key("alice", "tools", "chat", "approve")
    api = await serve(Scripted(CALLS), policy=ASK)
    hello = {"protocolVersion": "2025-11-25", "capabilities": {"elicitation": {}}}
    greeted = await post(api, {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello}, alice)
    headers = {"Mcp-Session-Id": greeted.headers["Mcp-Session-Id"], "Accept": "application/json, text/event-stream"}
    arguments = {"message": "x"} if tool == "agent.run" else {"text": "a"}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
    async with api.session.post(f"{api.base_url}/mcp", json=message, headers={**alice.headers, **headers}) as response:
        assert b"elicitation/create" in await response.content.readuntil(b"\n\n")
        await end_all()
        assert b"shutting down" in await response.read()
    (row,) = await rows(api, alice)
    assert (row["status"], row["decision"]) == ("awaiting_approval", None)
