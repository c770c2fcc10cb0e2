"""Runs that wait for results of client tools, over a real socket."""

import asyncio
from typing import Any

from chat import service_registry
from chat.engine.model_port import Finished, ToolCall
from chat.models import Run
from chat.providers.scripted import Scripted, text
from chat.service import Service
from tests.chat.runs.live.test_suspension import Following, decide, parked, types
from tests.conftest import Api, Start, registry_of
from tests.streams import Answer
from tools.models import ToolExecution

CALLS = Finished(reason="tool_calls")
STOP = Finished(reason="stop")
SECRET = "osk_" + "a" * 49
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
TOOLS = [{"name": name, "description": "", "parameters": SCHEMA} for name in ("select", "confirm")]
QUESTION: dict[str, Any] = {"message": "shorten it", "client_tools": TOOLS}


def call(name: str, call_id: str, arguments: str = '{"n": 1}') -> ToolCall:
    return ToolCall(call_id=call_id, name=name, arguments=arguments)


def two_calls() -> list[Any]:
    return [call("select", "c1"), call("confirm", "c2"), CALLS]


async def give(api: Api, waits: dict[str, Any], **body: Any) -> Answer:
    return await api.call("POST", f"/tools/executions/{waits['execution_id']}/result", json=body)


async def asked(stream: Following) -> dict[str, dict[str, Any]]:
    """Return the calls that wait, by tool, of an answer that calls both tools."""
    async with asyncio.timeout(10):
        while len(found := [event for event in stream.events() if event["type"] == "client_tool_call"]) < 2:
            stream.body += await stream.response.content.readany()
    return {event["tool"]: event for event in found}


async def test_calls_of_one_answer_wait_together_and_are_answered_in_any_order(start: Start) -> None:
    model = Scripted(
        [call("select", "c1"), call("fs.list", "c2", "{}"), call("confirm", "c3"), CALLS], [text("Done."), STOP]
    )
    api = await start(model)
    async with api.open(QUESTION) as response:
        stream = Following(response)
        waits = await asked(stream)
        run_id = response.headers["X-Run-Id"]
        await parked(run_id)
        assert api.service.runs.active == 0
        metrics = (await api.call("GET", "/metrics")).body.decode()
        assert "\norchestrator_client_calls_waiting 2.0\n" in metrics
        assert (await api.get("/tools/executions?status=awaiting_client"))["count"] == 2
        answered = await give(api, waits["confirm"], data={"key": SECRET})
        assert (answered.status, answered.json()["status"]) == (200, "succeeded")
        assert (await api.get(f"/chat/runs/{run_id}"))["status"] == "waiting"
        assert (await give(api, waits["confirm"], data={"key": SECRET})).json() == answered.json()
        other = await give(api, waits["confirm"], data={"key": "another"})
        assert (other.status, other.json()["code"]) == (409, "already_answered")
        assert (await give(api, waits["select"], error="Nothing is selected.")).status == 200
        found = await stream.rest()
    assert waits["select"]["params"] == {"n": 1}
    assert waits["select"]["call_id"] == "c1"
    assert types(found) == [
        "start", "tool_call", "tool_result", "tool_call", "tool_call", "client_tool_call", "client_tool_call",
        "tool_error", "tool_result", "end",
    ]  # fmt: skip
    assert [event["id"] for event in found] == list(range(1, len(found) + 1))
    assert (await api.call("GET", f"/chat/runs/{run_id}/stream")).body == stream.body
    # The model reads the results in the order of its calls, and no secret.
    results = model.requests[1].messages[-3:]
    assert [message.call_id for message in results] == ["c1", "c2", "c3"]
    assert results[0].content == "failed: Nothing is selected."
    assert results[2].content == '{"key":"[secret]"}'
    assert SECRET not in str(stream.body) + str(await api.get(f"/tools/executions/{waits['confirm']['execution_id']}"))
    # The tools keep their order, behind those of the service.
    for request in model.requests:
        assert [tool.name for tool in request.tools][-2:] == ["select", "confirm"]
    assert (await give(api, waits["confirm"], data={"key": SECRET})).status == 200


async def test_approval_is_asked_before_the_client_whatever_the_order_of_the_calls(start: Start) -> None:
    model = Scripted([call("select", "c1"), call("fs.list", "c2", "{}"), CALLS], [text("Done."), STOP])
    api = await start(model, policy="ask fs.list source=model")
    async with api.open(QUESTION) as response:
        stream = Following(response)
        approval = await stream.until("approval_required")
        assert "client_tool_call" not in types(stream.events())
        assert (await give(api, approval, data=1)).json()["code"] == "not_waiting"
        await decide(api, approval)
        waits = await stream.until("client_tool_call")
        assert (await decide(api, {**waits, "params_sha256": "0" * 64})).status == 409
        await give(api, waits, data=1)
        found = await stream.rest()
    assert types(found)[-3:] == ["client_tool_call", "tool_result", "end"]
    assert [message.call_id for message in model.requests[1].messages[-2:]] == ["c1", "c2"]


async def test_json_answer_lists_the_calls_that_still_wait(start: Start) -> None:
    api = await start(Scripted(two_calls(), [text("Done."), STOP]))
    question = {"json": {**QUESTION, "stream": False}, "headers": {"Idempotency-Key": "one"}}
    waiting = (await api.call("POST", "/chat/stream", **question)).json()
    calls = waiting["client_tool_calls"]
    assert (waiting["status"], [call["tool"] for call in calls]) == ("waiting", ["select", "confirm"])
    await parked(waiting["id"])
    await give(api, calls[0], data=None)
    again = (await api.call("POST", "/chat/stream", **question)).json()
    assert [call["execution_id"] for call in again["client_tool_calls"]] == [calls[1]["execution_id"]]
    await give(api, calls[1], data=[])
    done = (await api.call("POST", "/chat/stream", **question)).json()
    assert (done["id"], done["text"], done["client_tool_calls"]) == (waiting["id"], "Done.", [])


async def test_call_without_a_result_times_out_and_the_run_continues(start: Start) -> None:
    model = Scripted(two_calls(), [text("Then not."), STOP])
    api = await start(model, client_seconds=0.2)
    answer = await api.ask(QUESTION)
    assert [event["code"] for event in answer.events if event["type"] == "tool_error"] == ["timed_out", "timed_out"]
    assert answer.text == "Then not."
    late = await give(api, next(event for event in answer.events if event["type"] == "tool_error"), data=1)
    assert (late.status, late.json()["code"]) == (409, "too_late")


async def test_run_that_waits_for_the_client_can_be_cancelled(start: Start) -> None:
    api = await start(Scripted(two_calls()))
    async with api.open(QUESTION) as response:
        stream = Following(response)
        waits = await asked(stream)
        run_id = response.headers["X-Run-Id"]
        await parked(run_id)
        await give(api, waits["select"], data="kept")
        assert (await api.call("POST", f"/chat/runs/{run_id}/cancel")).json()["status"] == "cancelled"
        found = await stream.rest()
    assert types(found)[-3:] == ["tool_result", "tool_error", "end"]
    assert found[-1]["reason"] == "cancelled"
    late = await give(api, waits["confirm"], data=1)
    assert (late.status, late.json()["code"]) == (409, "too_late")
    assert sorted([row.status async for row in ToolExecution.objects.all()]) == ["cancelled", "succeeded"]


async def test_waiting_run_survives_its_process_and_another_one_continues_it(start: Start) -> None:
    first = await start(Scripted([text("Wait. "), *two_calls()]))
    async with first.open(QUESTION) as response:
        waits = await asked(Following(response))
        run_id = response.headers["X-Run-Id"]
        await parked(run_id)
    await give(first, waits["confirm"], data="yes")
    await first.service.close()
    model = Scripted([call("select", "c9"), CALLS], [text("Done."), STOP])
    second = Service(providers=registry_of(model), tools=first.tools, stored=True)
    service_registry.use(second)
    await second.open()
    await give(first, waits["select"], data="text")
    async with first.session.get(f"{first.base_url}/chat/runs/{run_id}/stream") as response:
        stream = Following(response)
        async with asyncio.timeout(10):
            while len(found := [event for event in stream.events() if event["type"] == "client_tool_call"]) < 3:
                stream.body += await response.content.readany()
        await give(first, found[2], data="again")
        found = await stream.rest()
    assert [event["id"] for event in found] == list(range(1, len(found) + 1))
    assert found[-1]["reason"] == "completed"
    assert [message.content for message in model.requests[0].messages[-2:]] == ["text", "yes"]
    await second.close()


async def test_resumed_run_offers_the_tools_of_the_interrupted_one(start: Start) -> None:
    model = Scripted([text("A"), STOP], [text("B"), STOP])
    api = await start(model)
    run_id = (await api.ask(QUESTION)).headers["X-Run-Id"]
    await Run.objects.filter(id=run_id).aupdate(status=Run.Status.INTERRUPTED)
    assert (await api.call("POST", f"/chat/runs/{run_id}/resume")).text == "B"
    offered = [[tool.name for tool in request.tools] for request in model.requests]
    assert offered[0] == offered[1]
    assert offered[1][-2:] == ["select", "confirm"]


async def test_call_that_cannot_be_shown_to_the_client_is_an_error_for_the_model(start: Start) -> None:
    bad = [
        call("select", "c1", '{"n": "one"}'),
        call("select", "c2", "not JSON"),
        call("select", "c3", "[]"),
        call("select", "c4", f'{{"n": 1, "key": "{SECRET}"}}'),
        call("fs_select", "c5"),
    ]
    api = await start(Scripted([*bad, CALLS], [text("I see."), STOP]))
    answer = await api.ask(QUESTION)
    codes = [event["code"] for event in answer.events if event["type"] == "tool_error"]
    assert sorted(codes) == ["denied", "invalid_params", "invalid_params", "invalid_params", "unknown_tool"]
    assert SECRET not in str(answer.body)
    assert answer.one("end")["reason"] == "completed"


async def test_large_params_reach_the_client_whole_and_a_large_result_is_shortened(start: Start) -> None:
    long = "a" * 100_000
    model = Scripted([call("select", "c1", f'{{"n": 1, "x_base64": "{long}"}}'), CALLS], [text("Done."), STOP])
    api = await start(model)
    async with api.open(QUESTION) as response:
        stream = Following(response)
        waits = await stream.until("client_tool_call")
        assert waits["params"] == {"n": 1, "x_base64": long}
        given = (await give(api, waits, data={"text": long, "n": 2})).json()
        await stream.rest()
    assert given["params"] == waits["params"]
    assert given["data"]["n"] == 2
    assert given["output_size"] > len(long) > len(given["data"]["text"])
    whole = await api.get(f"/tools/executions/{waits['execution_id']}/output?limit=1000000")
    assert len(whole["text"]) == given["output_size"]
    read = model.requests[1].messages[-1].content
    assert len(read) < 40_000
    assert waits["execution_id"] in read


async def test_malformed_result_is_rejected_and_the_call_waits_on(start: Start) -> None:
    api = await start(Scripted(two_calls()))
    async with api.open(QUESTION) as response:
        waits = await asked(Following(response))
        bodies: list[dict[str, Any]] = [{}, {"data": 1, "error": "a"}, {"error": ""}, {"error": None}, {"other": 1}]
        for body in bodies:
            assert (await give(api, waits["select"], **body)).status == 422
    assert await ToolExecution.objects.filter(status="awaiting_client").acount() == 2


async def test_client_tools_need_a_stored_run_and_names_that_the_service_does_not_have(start: Start) -> None:
    api = await start(Scripted())
    refused = await api.ask(message="Hi", client_tools=[{"name": "fs_read"}])
    assert (refused.status, refused.json()["detail"][0]["field"]) == (422, "client_tools.0.name")
    unstored = await start(Scripted(), stored=False)
    assert (await unstored.ask(QUESTION)).json()["code"] == "not_stored"


async def test_run_that_ends_beside_an_open_call_closes_it(start: Start) -> None:
    bad = [call("select", f"c{number}", "{}") for number in range(3)]
    api = await start(Scripted([*bad, call("confirm", "c9"), CALLS]))
    answer = await api.ask(QUESTION)
    assert answer.one("end")["reason"] == "repeated_call"
    assert [event["code"] for event in answer.events if event["type"] == "tool_error"][-1] == "cancelled"
    closed = await ToolExecution.objects.aget(tool="confirm")
    assert (closed.status, closed.code) == ("cancelled", "cancelled")
    late = await give(api, {"execution_id": str(closed.id)}, data=1)
    assert (late.status, late.json()["code"]) == (409, "too_late")
