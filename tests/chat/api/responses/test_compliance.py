"""The tests of the Open Responses compliance suite (openresponses.org/compliance), by their ids, on a live service.

The suite itself runs in a browser or with bun. These send the same kinds of requests, and check
the same: the fields that the specification requires, the types of the events, and the outcome. The types are those of
OpenAI's SDK, which validate strictly.
"""

import base64
import json
from typing import Any

import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from chat.engine.model_port import Finished, TokensUsed, ToolCall
from chat.providers.scripted import Scripted, text
from tests.conftest import Start

REQUIRED = (
    "id", "object", "created_at", "completed_at", "status", "incomplete_details", "model", "previous_response_id",
    "instructions", "output", "error", "tools", "tool_choice", "truncation", "parallel_tool_calls", "text", "top_p",
    "presence_penalty", "frequency_penalty", "top_logprobs", "temperature", "reasoning", "user", "usage",
    "max_output_tokens", "max_tool_calls", "store", "background", "service_tier", "metadata", "safety_identifier",
    "prompt_cache_key",
)  # fmt: skip
"""The required fields of the schema `ResponseResource`."""

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
USED = TokensUsed(input_tokens=7, output_tokens=2)
HELLO = [text("Hello", " there."), USED, Finished(reason="stop")]
PLACE = {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]}
WEATHER = {"type": "function", "name": "get_weather", "description": "The weather.", "parameters": PLACE}
CALL = ToolCall(call_id="c", name="get_weather", arguments='{"location": "San Francisco"}')
CALLS = [CALL, USED, Finished(reason="tool_calls")]
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(16)).decode()


def message(role: str, content: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content}


CASES: dict[str, tuple[list[dict[str, Any]], dict[str, Any], list[Any], str]] = {
    "basic-response": ([message("user", "Say hello.")], {}, HELLO, "message"),
    "streaming-response": ([message("user", "Count.")], {"stream": True}, HELLO, "message"),
    "system-prompt": ([message("system", "Be a pirate."), message("user", "Hello.")], {}, HELLO, "message"),
    "tool-calling": ([message("user", "Weather?")], {"tools": [WEATHER]}, CALLS, "function_call"),
    "tool-calling-streaming": (
        [message("user", "Weather?")], {"tools": [WEATHER], "stream": True}, CALLS, "function_call",
    ),
    "image-input": (
        [
            message(
                "user",
                [
                    {"type": "input_text", "text": "What is this?"},
                    {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"},
                ],
            )
        ],
        {},
        HELLO,
        "message",
    ),
    "multi-turn": (
        [message("user", "I am Alice."), message("assistant", "Hello Alice!"), message("user", "Who am I?")],
        {},
        HELLO,
        "message",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
async def test_request_of_the_suite_passes(start: Start, name: str) -> None:
    items, options, script, kind = CASES[name]
    api = await start(Scripted(script))
    answer = await api.call("POST", "/v1/responses", json={"model": "scripted-1", "input": items, **options})
    assert answer.status == 200, answer.body
    response = answer.json() if "stream" not in options else await streamed(answer, kind)
    assert set(REQUIRED) <= set(response)
    assert Response.model_validate(response, strict=False).status == "completed"
    assert kind in [item["type"] for item in response["output"]]


async def streamed(answer: Any, kind: str) -> dict[str, Any]:
    """Check the events, and return the response of the last one."""
    events = [json.loads(line.removeprefix("data: ")) for line in answer.body.decode().split("\n") if "data: " in line]
    for event in events:
        EVENT.validate_python(event)
    names = [event["type"] for event in events]
    assert (names[:2], names[-1]) == (["response.created", "response.in_progress"], "response.completed")
    if kind == "function_call":
        added = [event["item"]["type"] for event in events if event["type"] == "response.output_item.added"]
        done = [event["item"]["type"] for event in events if event["type"] == "response.output_item.done"]
        assert (added, done) == ([kind], [kind])
        assert {"response.function_call_arguments.delta", "response.function_call_arguments.done"} <= set(names)
    response: dict[str, Any] = events[-1]["response"]
    return response
