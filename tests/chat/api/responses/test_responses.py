"""Responses with the real client of OpenAI and by hand; bad input first.

Covers `chat.api.responses.schemas`, `chat.api.responses.items`, `chat.api.responses.requests`,
`chat.api.responses.known`, `chat.api.responses.continuing`, `chat.api.responses.starting`, `chat.api.responses.inputs`
and `chat.api.responses.views`.
"""

import asyncio
import json
from typing import Any

import openai
import pytest

from chat.engine.messages import AssistantMessage, ToolMessage, UserMessage
from chat.engine.model_port import Finished, ProviderError, Thought, TokensUsed, ToolCall
from chat.providers.scripted import Scripted, text
from tests.access.conftest import MakeKey
from tests.access.conftest import make_key as make_key
from tests.chat.api.openai.test_client_tools import CITY, calls
from tests.chat.api.openai.test_completions import client_of as client_of
from tests.conftest import Api, Start
from tools.models import ToolExecution

STOP = Finished(reason="stop")
CALLS = Finished(reason="tool_calls")
USED = TokensUsed(input_tokens=7, output_tokens=2, cached_tokens=3)
WEATHER = {"type": "function", "name": "weather", "description": "The weather.", "parameters": CITY, "strict": True}
HELLO = [text("Bon", 'jour "é" \n'), USED, STOP]
APPROVED = {"approve": True, "type": "mcp_approval_response"}


async def respond(api: Api, headers: dict[str, str] | None = None, **body: Any) -> Any:
    fields = {"model": "scripted-1", "input": "Hi", **body}
    return await api.call("POST", "/v1/responses", json=fields, headers=headers or {})


def events(answer: Any) -> list[dict[str, Any]]:
    """Parse the events of a stream. Each has its type in the field `event` too."""
    found = []
    for frame in answer.body.decode().removesuffix("\n\n").split("\n\n"):
        name, data = frame.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def writing(call_id: str = "c1") -> list[Any]:
    arguments = '{"path": "new.txt", "content": "x"}'
    return [ToolCall(call_id=call_id, name="fs.write", arguments=arguments), USED, CALLS]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"input": []}, "input"),
    ({"input": [{"role": "system", "content": "Be brief."}]}, "input"),
    ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "function_call_output"),
    ({"input": [7]}, "input"),
    ({"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]}, "call_id"),
    ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "https://x"}]}]}, "data:"),
    ({"input": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "input"),
    ({"input": [{**APPROVED, "approval_request_id": "mcpr_1"}]}, "approval_request_id"),
    ({"model": ""}, "model"),
    ({"prompt": {"id": "p"}}, "prompt"),
    ({"top_logprobs": 3}, "top_logprobs"),
    ({"tools": [{"type": "web_search"}]}, "tools"),
    ({"tools": [{**WEATHER, "name": "fs_read"}]}, "fs_read"),
    ({"text": {"format": {"type": "json_schema"}}}, "text.format"),
    ({"text": {"format": {"type": "json_schema", "name": "a", "schema": {"type": "no"}}}}, "text.format"),
    ({"metadata": {str(number): "x" for number in range(17)}}, "metadata"),
    ({"conversation": "conv_1", "previous_response_id": "resp_1"}, "previous_response_id"),
]


async def test_bad_requests_are_400_in_the_shape_of_openai(start: Start) -> None:
    api = await start(Scripted())
    for changes, named in BAD:
        answer = await respond(api, **changes)
        error = answer.json()["error"]
        assert (answer.status, error["type"]) == (400, "invalid_request_error"), changes
        assert named in error["message"], changes


async def test_unknown_ids_are_404(start: Start) -> None:
    api = await start(Scripted())
    unknown = "resp_" + "0" * 32
    for name in (unknown, f"{unknown}_1", "resp_1", "x", unknown + "_99999"):
        for method, path in (("GET", ""), ("POST", "/cancel"), ("DELETE", ""), ("GET", "/input_items")):
            answer = await api.call(method, f"/v1/responses/{name}{path}")
            assert (answer.status, answer.json()["error"]["type"]) == (404, "not_found_error")
        assert (await respond(api, previous_response_id=name)).status == 404
    assert (await respond(api, conversation="conv_none")).status == 404


async def test_nothing_is_continued_without_persistence(start: Start) -> None:
    api = await start(Scripted(HELLO), stored=False)
    for changes in ({"tools": [WEATHER]}, {"previous_response_id": "resp_1"}, {"conversation": "conv_1"}):
        assert (await respond(api, **changes)).json()["error"]["code"] == "not_stored"
    answer = (await respond(api)).json()
    assert answer["status"] == "completed"
    assert (await api.call("GET", f"/v1/responses/{answer['id']}")).status == 404


async def test_client_of_openai_gets_responses_and_streams(start: Start, client_of: Any) -> None:
    client = client_of(await start(Scripted(HELLO, HELLO)))
    answer = await client.responses.create(model="scripted-1", input="Hi", metadata={"a": "b"}, temperature=0.5)
    assert (answer.output_text, answer.status, answer.temperature) == ('Bonjour "é" \n', "completed", 0.5)
    assert (answer.usage.input_tokens, answer.usage.total_tokens) == (7, 9)
    assert answer.usage.input_tokens_details.cached_tokens == 3
    again = await client.responses.retrieve(answer.id)
    # The stream ends a moment after the run did.
    assert 0 <= answer.completed_at - again.completed_at <= 1
    assert {**again.to_dict(), "completed_at": None} == {**answer.to_dict(), "completed_at": None}
    async with client.responses.stream(model="scripted-1", input="Hi") as stream:
        events = [event async for event in stream]
        final = await stream.get_final_response()
    assert [event.type for event in events] == [
        "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
        "response.output_text.delta", "response.output_text.delta", "response.output_text.done",
        "response.content_part.done", "response.output_item.done", "response.completed",
    ]  # fmt: skip
    assert [event.sequence_number for event in events] == list(range(10))
    assert final.output_text == 'Bonjour "é" \n'


async def test_previous_response_continues_its_conversation(start: Start, client_of: Any) -> None:
    model = Scripted(HELLO, [text("Two"), STOP], [text("Three"), STOP], [text("Four"), STOP])
    client = client_of(await start(model))
    first = await client.responses.create(model="scripted-1", input="One?", instructions="Be brief.")
    second = await client.responses.create(model="scripted-1", input="Two?", previous_response_id=first.id)
    assert (second.previous_response_id, second.conversation.id) == (first.id, first.conversation.id)
    assert [message.text for message in model.requests[1].messages][-3:] == ["One?", 'Bonjour "é" \n', "Two?"]
    # An earlier response begins a branch, which has nothing of the later ones.
    branch = await client.responses.create(model="scripted-1", input="Three?", previous_response_id=first.id)
    assert branch.conversation.id != first.conversation.id
    assert [message.text for message in model.requests[2].messages][-3:] == ["One?", 'Bonjour "é" \n', "Three?"]
    last = await client.responses.create(model="scripted-1", input="Four?", conversation=first.conversation.id)
    assert [message.text for message in model.requests[3].messages][-2:] == ["Two", "Four?"]
    items = await client.responses.input_items.list(last.id)
    assert [(item.role, item.content[0].text) for item in items.data] == [("user", "Four?")]


async def test_conversation_that_the_client_keeps_is_used_as_sent(start: Start, client_of: Any) -> None:
    model = Scripted([text("Done"), STOP])
    client = client_of(await start(model))
    output = [
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "See", "annotations": []}],
        },
        {"type": "function_call", "call_id": "a", "name": "weather", "arguments": '{"city":"Paris"}', "id": "fc_1"},
        {"type": "mcp_call", "id": "mcp_1", "name": "fs.list", "arguments": "{}", "server_label": "x", "output": "[]"},
    ]
    given = [{"role": "user", "content": "Hi"}, {"role": "developer", "content": "Be brief."}, *output]
    result = {"type": "function_call_output", "call_id": "a", "output": [{"type": "input_text", "text": "Rain"}]}
    answer = await client.responses.create(model="scripted-1:plain", input=[*given, result], tools=[WEATHER])
    assert answer.output_text == "Done"
    (request,) = model.requests
    weather = ToolCall(call_id="a", name="weather", arguments='{"city":"Paris"}')
    listing = ToolCall(call_id="mcp_1", name="fs.list", arguments="{}")
    assert request.messages[-4:] == (
        UserMessage(text="Hi"),
        AssistantMessage(text="See", tool_calls=(weather, listing)),
        ToolMessage(call_id="a", name="weather", content="Rain"),
        ToolMessage(call_id="mcp_1", name="fs.list", content="[]"),
    )
    items = await client.responses.input_items.list(answer.id, order="asc", limit=2)
    assert ([item.type for item in items.data], items.has_more) == (["message", "message"], True)
    rest = await client.responses.input_items.list(answer.id, order="asc", after=items.data[-1].id)
    assert [item.type for item in rest.data] == ["function_call_output", "function_call_output"]


async def test_results_of_functions_continue_the_run(start: Start, client_of: Any) -> None:
    client = client_of(await start(Scripted(calls(), [text("Rain, sun."), USED, STOP])))
    asked = {"model": "scripted-1", "tools": [WEATHER]}
    first = await client.responses.create(input="Weather?", **asked)
    assert [item.type for item in first.output] == ["message", "mcp_call", "function_call", "function_call"]
    assert (first.output[1].name, first.output[1].status, first.output[1].server_label) == (
        "fs.list", "completed", "orchestrator",
    )  # fmt: skip
    results = [
        {"type": "function_call_output", "call_id": item.call_id, "output": city}
        for item, city in zip(first.output[2:], ("Rain", "Sun"), strict=True)
    ]
    with pytest.raises(openai.BadRequestError, match="are missing"):
        await client.responses.create(input=results[:1], previous_response_id=first.id, **asked)
    second = await client.responses.create(input=results[::-1], previous_response_id=first.id, **asked)
    assert (second.output_text, second.previous_response_id) == ("Rain, sun.", first.id)
    assert second.id == f"{first.id}_1"
    # A request that is sent again has the same answer, and another result is refused.
    assert (await client.responses.create(input=results, previous_response_id=first.id, **asked)).id == second.id
    other = [{**one, "output": "Snow"} for one in results]
    with pytest.raises(openai.ConflictError):
        await client.responses.create(input=other, previous_response_id=first.id, **asked)
    assert (await client.responses.retrieve(first.id)).to_dict() == first.to_dict()
    assert (await client.responses.retrieve(second.id)).output_text == "Rain, sun."
    items = await client.responses.input_items.list(second.id, order="asc")
    assert [(item.type, item.output) for item in items.data] == [
        ("function_call_output", "Rain"), ("function_call_output", "Sun"),
    ]  # fmt: skip


async def test_client_without_ids_of_responses_continues_the_same_run(start: Start, client_of: Any) -> None:
    model = Scripted(calls(), calls(), [text("Done."), STOP])
    client = client_of(await start(model))
    history: list[Any] = [{"role": "user", "content": "Weather?"}]
    ids = []
    for _ in range(3):
        answer = await client.responses.create(model="scripted-1", tools=[WEATHER], input=history)
        ids.append(answer.id)
        history += [item.to_dict() for item in answer.output]
        history += [
            {"type": "function_call_output", "call_id": item.call_id, "output": "Rain"}
            for item in answer.output
            if item.type == "function_call"
        ]
    assert ids == [ids[0], f"{ids[0]}_1", f"{ids[0]}_2"]
    assert answer.output_text == "Done."
    assert await ToolExecution.objects.filter(tool="weather").acount() == 4


async def test_approval_is_an_item_that_the_client_answers(start: Start, make_key: MakeKey) -> None:
    api = await start(Scripted(writing(), [text("Written."), STOP]), policy="ask fs.write")
    chats = await make_key("chats", "chat", "tools")
    decides = await make_key("decides", "chat", "tools", "approve")
    mine = await respond(api, decides.headers)
    first = mine.json()
    (asked,) = [item for item in first["output"] if item["type"] == "mcp_approval_request"]
    assert (first["status"], asked["name"]) == ("completed", "fs.write")
    assert '"new.txt"' in asked["arguments"]
    approval = {**APPROVED, "approval_request_id": asked["id"]}
    forged = {**approval, "approval_request_id": asked["id"][:-1] + ("0" if asked["id"][-1] != "0" else "1")}
    for headers, item, status in (
        (chats.headers, approval, 404),
        (decides.headers, forged, 409),
        (decides.headers, {**approval, "approval_request_id": "mcpr_" + "0" * 32}, 400),
    ):
        refused = await respond(api, headers, input=[item], previous_response_id=first["id"])
        assert refused.status == status
    second = (await respond(api, decides.headers, input=[approval], previous_response_id=first["id"])).json()
    assert [(item["type"], item["status"]) for item in second["output"]] == [
        ("mcp_call", "completed"), ("message", "completed"),
    ]  # fmt: skip
    again = (await respond(api, decides.headers, input=[approval], previous_response_id=first["id"])).json()
    assert again["id"] == second["id"]
    items = await api.get(f"/v1/responses/{second['id']}/input_items", headers=decides.headers)
    assert [(item["type"], item["approve"]) for item in items["data"]] == [("mcp_approval_response", True)]


async def test_key_without_the_scope_decides_nothing(start: Start, make_key: MakeKey) -> None:
    api = await start(Scripted(writing()), policy="ask fs.write")
    chats = await make_key("chats", "chat", "tools")
    first = (await respond(api, chats.headers)).json()
    approval = {**APPROVED, "approval_request_id": first["output"][0]["id"]}
    refused = await respond(api, chats.headers, input=[approval], previous_response_id=first["id"])
    assert (refused.status, refused.json()["error"]["code"]) == (403, "scope")


async def test_denied_tool_is_a_failed_item(start: Start) -> None:
    api = await start(Scripted(writing(), [text("Then not."), STOP]), policy="ask fs.write")
    first = (await respond(api)).json()
    denial = {**APPROVED, "approve": False, "reason": "No.", "approval_request_id": first["output"][0]["id"]}
    second = (await respond(api, input=[denial])).json()
    assert [(item["type"], item["status"]) for item in second["output"]] == [
        ("mcp_call", "failed"), ("message", "completed"),
    ]  # fmt: skip
    assert second["output"][0]["error"]["content"].startswith("denied")


async def test_stream_is_resumed_after_any_event(start: Start) -> None:
    api = await start(Scripted([Thought(text="Hm"), *calls()], [text("Rain", ", sun."), USED, STOP]))
    first = await respond(api, stream=True, tools=[WEATHER], reasoning={"summary": "auto"})
    whole = events(first)
    named = whole[0]["response"]["id"]
    for after in range(-1, len(whole) - 1):
        resumed = await api.call("GET", f"/v1/responses/{named}?stream=true&starting_after={after}")
        assert events(resumed) == whole[after + 1 :]
    assert "reasoning" in [event["item"]["type"] for event in whole if event["type"] == "response.output_item.done"]


async def test_background_response_runs_without_a_reader_and_can_be_cancelled(start: Start) -> None:
    gate = asyncio.Event()
    api = await start(Scripted([text("Be"), gate.wait, text("gun"), STOP], [gate.wait, text("x"), STOP]))
    begun = (await respond(api, background=True)).json()
    assert (begun["status"], begun["background"], begun["output"]) == ("in_progress", True, [])
    stream = asyncio.create_task(api.call("GET", f"/v1/responses/{begun['id']}?stream=true"))
    gate.set()
    assert events(await stream)[-1]["response"]["status"] == "completed"
    gate.clear()
    stopped = (await respond(api, background=True)).json()
    cancelled = (await api.call("POST", f"/v1/responses/{stopped['id']}/cancel")).json()
    assert cancelled["status"] == "cancelled"
    assert (await api.call("POST", f"/v1/responses/{begun['id']}/cancel")).json()["status"] == "completed"


async def test_response_is_deleted_or_not_stored(start: Start) -> None:
    gate = asyncio.Event()
    api = await start(Scripted(HELLO, HELLO, HELLO, [gate.wait, STOP]))
    first = (await respond(api)).json()["id"]
    second = (await respond(api, previous_response_id=first)).json()["id"]
    deleted = await api.call("DELETE", f"/v1/responses/{first}")
    assert deleted.json() == {"id": first, "object": "response", "deleted": True}
    assert (await api.call("GET", f"/v1/responses/{first}")).status == 404
    assert (await api.call("GET", f"/v1/responses/{second}")).status == 200
    await api.call("DELETE", f"/v1/responses/{second}")
    assert (await api.get("/chat/sessions"))["count"] == 0
    hidden = (await respond(api, store=False)).json()
    assert hidden["store"] is False
    assert (await api.call("GET", f"/v1/responses/{hidden['id']}")).status == 404
    active = (await respond(api, background=True)).json()["id"]
    assert (await api.call("DELETE", f"/v1/responses/{active}")).status == 409
    gate.set()


async def test_failures_have_statuses_and_final_events(start: Start) -> None:
    failing = ProviderError("No such model here.", code="provider_rejected", retryable=False)
    api = await start(Scripted([failing], [text("Par"), failing], [text("Lo"), Finished(reason="length")]))
    answer = await respond(api)
    assert (answer.status, answer.json()["error"]["code"]) == (400, "provider_rejected")
    last = events(await respond(api, stream=True))[-1]
    assert (last["type"], last["response"]["error"]["code"]) == ("response.failed", "provider_rejected")
    assert last["response"]["output"][0]["content"][0]["text"] == "Par"
    long = (await respond(api)).json()
    assert (long["status"], long["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})


async def test_structured_answer_is_sent_whole(start: Start, client_of: Any) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    model = Scripted([text('{"n": "x"}'), STOP], [text('{"n": 1}'), STOP])
    client = client_of(await start(model))
    form = {"format": {"type": "json_schema", "name": "n", "schema": schema}}
    answer = await client.responses.create(model="scripted-1", input="n?", text=form)
    assert answer.output_text == '{"n":1}'


async def test_other_owner_has_no_such_response(start: Start, make_key: MakeKey) -> None:
    api = await start(Scripted(HELLO))
    alice, bob = [await make_key(name, "chat", "tools") for name in ("alice", "bob")]
    named = (await respond(api, alice.headers)).json()["id"]
    for method, path in (
        ("GET", ""),
        ("GET", "?stream=true"),
        ("POST", "/cancel"),
        ("DELETE", ""),
        ("GET", "/input_items"),
    ):
        answer = await api.call(method, f"/v1/responses/{named}{path}", headers=bob.headers)
        assert answer.status == 404
    assert (await respond(api, bob.headers, previous_response_id=named)).status == 404
