"""Questions of every protocol outlive `kill -9`: another process takes the answers, and each run continues once."""

import json
from typing import Any

import aiohttp

from tests.chat.providers.fake_openai import DONE, call, finish, said, streamed
from tests.chat.runs.cluster.test_processes import Start
from tests.chat.runs.cluster.test_processes import begin as begin
from tests.chat.runs.cluster.test_processes import client as client
from tests.chat.runs.cluster.test_processes import fake as fake
from tests.fake_service import FakeService

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "weather", "description": "The weather.", "parameters": CITY}
USER = {"id": "m1", "role": "user", "parts": [{"type": "text", "text": "Weather?"}]}
QUESTION = {"role": "user", "content": "Weather?"}
COMPLETIONS, RESPONSES, UI_CHAT, AG_UI = "/v1/chat/completions", "/v1/responses", "/ai/chat", "/ag-ui"

REQUESTS: dict[str, dict[str, Any]] = {
    COMPLETIONS: {
        "model": "gpt-4o-mini",
        "messages": [QUESTION],
        "tools": [{"type": "function", "function": FUNCTION}],
    },
    RESPONSES: {"model": "gpt-4o-mini", "input": "Weather?", "tools": [{"type": "function", **FUNCTION}]},
    UI_CHAT: {"id": "c1", "messages": [USER], "clientTools": [FUNCTION]},
    AG_UI: {
        "threadId": "t1",
        "runId": "r1",
        "messages": [{"id": "m1", **QUESTION}],
        "tools": [FUNCTION],
        "context": [],
    },
}


def data(body: bytes) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in body.decode().split("\n") if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


def answer_to(path: str, asked: bytes) -> dict[str, Any]:
    """Return the request that answers the call in an answer of this protocol."""
    request = REQUESTS[path]
    if path == COMPLETIONS:
        message = json.loads(asked)["choices"][0]["message"]
        result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "Rain"}
        return {**request, "messages": [QUESTION, message, result]}
    if path == RESPONSES:
        response = json.loads(asked)
        (wanted,) = [item for item in response["output"] if item["type"] == "function_call"]
        result = {"type": "function_call_output", "call_id": wanted["call_id"], "output": "Rain"}
        return {**request, "input": [result], "previous_response_id": response["id"]}
    if path == UI_CHAT:
        (wanted,) = [chunk for chunk in data(asked) if chunk["type"] == "tool-input-available"]
        part = {
            "type": "tool-weather",
            "toolCallId": wanted["toolCallId"],
            "state": "output-available",
            "output": "Rain",
        }
        return {**request, "messages": [USER, {"id": "a1", "role": "assistant", "parts": [part]}]}
    (called,) = [event for event in data(asked) if event["type"] == "TOOL_CALL_START"]
    result = {"id": "m2", "role": "tool", "toolCallId": called["toolCallId"], "content": "Rain"}
    return {**request, "runId": "r2", "messages": [*request["messages"], result]}


async def test_calls_of_every_protocol_are_answered_in_another_process_after_a_kill(
    begin: Start, fake: FakeService, client: aiohttp.ClientSession
) -> None:
    (one, process), (other, _) = begin(), begin()
    wanted = call(0, call_id="w", name="weather", arguments='{"city": "Paris"}')
    asks, answers = streamed(wanted, finish("tool_calls"), DONE), streamed(said("Umbrella."), finish(), DONE)
    fake.play(*[asks] * len(REQUESTS), *[answers] * len(REQUESTS))
    asked = {}
    for path, body in REQUESTS.items():
        async with client.post(one + path, json=body) as response:
            asked[path] = await response.read(), response.headers["X-Run-Id"]
    process.kill()
    process.wait()
    for path, (body, run_id) in asked.items():
        async with client.post(other + path, json=answer_to(path, body)) as response:
            assert (response.status, response.headers.get("X-Run-Id")) == (200, run_id), await response.text()
            assert b"Umbrella." in await response.read()
    assert len(fake.requests) == 2 * len(REQUESTS)
    executions = (await (await client.get(f"{other}/tools/executions")).json())["items"]
    assert [row["status"] for row in executions] == ["succeeded"] * len(REQUESTS)
    # What the dead process streamed is read again from any event on.
    response_id = json.loads(asked[RESPONSES][0])["id"]
    async with client.get(f"{other}/v1/responses/{response_id}?stream=true&starting_after=1") as again:
        found = data(await again.read())
    assert [event["sequence_number"] for event in found] == list(range(2, 2 + len(found)))
    assert found[-1]["response"]["output"] == json.loads(asked[RESPONSES][0])["output"]
