"""Tools of a client of OpenAI's API, with its real client; bad input first.

Covers `chat.api.openai.schemas` and `chat.api.openai.tool_results`.
"""

from typing import Any

from chat.engine.messages import AssistantMessage, ToolMessage
from chat.engine.model_port import Finished, TokensUsed, ToolCall
from chat.providers.scripted import Scripted, text
from tests.access.conftest import MakeKey
from tests.access.conftest import make_key as make_key
from tests.chat.api.openai.test_completions import HI, complete
from tests.chat.api.openai.test_completions import client_of as client_of
from tests.conftest import Start
from tools.models import ToolExecution

STOP = Finished(reason="stop")
CALLS = Finished(reason="tool_calls")
USED = TokensUsed(input_tokens=7, output_tokens=2)
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def function(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **fields}}


WEATHER = function("weather", description="The weather.", parameters=CITY, strict=True)


def calls() -> list[Any]:
    listing = ToolCall(call_id="c0", name="fs.list", arguments="{}")
    cities = [ToolCall(call_id=city, name="weather", arguments=f'{{"city": "{city}"}}') for city in ("Paris", "Rome")]
    return [text("Let me see."), cities[0], listing, cities[1], USED, CALLS]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"tools": [{"type": "custom"}]}, "tools"),
    ({"tools": [function("a.b")]}, "name"),
    ({"tools": [function("fs_read")]}, "fs_read"),
    ({"tools": [WEATHER, WEATHER]}, "weather"),
    ({"tools": [function("a", parameters={"type": "array"})]}, "object"),
    ({"tools": [WEATHER], "tool_choice": "sometimes"}, "tool_choice"),
    ({"functions": []}, "functions"),
]


async def test_bad_tools_are_400(start: Start) -> None:
    api = await start(Scripted())
    for changes, named in BAD:
        answer = await complete(api, **changes)
        assert (answer.status, answer.json()["error"]["type"]) == (400, "invalid_request_error")
        assert named in answer.json()["error"]["message"]


async def test_tools_need_a_stored_run(start: Start) -> None:
    answer = await complete(await start(Scripted(), stored=False), tools=[WEATHER])
    assert (answer.status, answer.json()["error"]["code"]) == (400, "not_stored")


async def test_results_continue_the_run_that_called_the_tools(start: Start, client_of: Any) -> None:
    model = Scripted(calls(), [text("Rain, sun."), USED, STOP])
    client = client_of(await start(model))
    asked = {"model": "scripted", "tools": [WEATHER], "tool_choice": "required", "parallel_tool_calls": True}
    first = await client.chat.completions.with_raw_response.create(messages=HI, **asked)
    (choice,) = first.parse().choices
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", "Let me see.")
    assert [(call.function.name, call.function.arguments) for call in choice.message.tool_calls] == [
        ("weather", '{"city":"Paris"}'), ("weather", '{"city":"Rome"}'),
    ]  # fmt: skip
    assert model.requests[0].sampling.tool_choice == "required"
    answers = [
        {"role": "tool", "tool_call_id": call.id, "content": content}
        for call, content in zip(choice.message.tool_calls, ("Rain", "Sun"), strict=True)
    ]
    messages = [*HI, choice.message.to_dict(), *reversed(answers)]
    second = await client.chat.completions.with_raw_response.create(messages=messages, **asked)
    assert second.parse().choices[0].message.content == "Rain, sun."
    assert second.parse().usage.completion_tokens == 2
    assert second.headers["X-Run-Id"] == first.headers["X-Run-Id"]
    assert second.headers["X-Session-Id"] == first.headers["X-Session-Id"]
    # The model reads the results of all of its calls, also those that the client never saw.
    assert [message.name for message in model.requests[1].messages[-3:]] == ["weather", "fs.list", "weather"]
    assert [message.content for message in model.requests[1].messages[-3::2]] == ["Rain", "Sun"]


async def test_stream_ends_with_the_calls_and_a_conversation_that_answers_only_one_is_used_as_sent(
    start: Start, client_of: Any
) -> None:
    model = Scripted(calls(), [text("As sent."), USED, STOP])
    client = client_of(await start(model))
    stream = await client.chat.completions.create(
        model="scripted", messages=HI, tools=[WEATHER], stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    found = [call for chunk in chunks if chunk.choices for call in chunk.choices[0].delta.tool_calls or ()]
    assert [(call.index, call.function.arguments) for call in found] == [
        (0, '{"city":"Paris"}'),
        (1, '{"city":"Rome"}'),
    ]
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "tool_calls"
    assert chunks[-1].usage.completion_tokens == 2
    one = found[0]
    call = {"id": one.id, "type": "function", "function": {"name": "weather", "arguments": one.function.arguments}}
    result = {"role": "tool", "tool_call_id": one.id, "content": "Rain"}
    assistant = {"role": "assistant", "content": None, "tool_calls": [call]}
    answer = await client.chat.completions.create(model="scripted:plain", messages=[*HI, assistant, result])
    assert answer.choices[0].message.content == "As sent."
    sent = model.requests[1].messages[1:]
    assert isinstance(sent[0], AssistantMessage)
    assert isinstance(sent[1], ToolMessage)
    assert sent[1].content == "Rain"
    # Its run is another one, and gives nothing to the one that waits.
    assert await ToolExecution.objects.filter(status="awaiting_client").acount() == 2


async def test_key_without_tools_may_have_its_own_and_results_of_another_owner_continue_nothing(
    start: Start, client_of: Any, make_key: MakeKey
) -> None:
    model = Scripted(calls(), [text("Mine."), STOP])
    api = await start(model)
    bob = await make_key("bob", "chat")
    body = {"model": "scripted", "messages": HI, "tools": [WEATHER]}
    answer = await api.call("POST", "/v1/chat/completions", json=body, headers=bob.headers)
    assert [tool.name for tool in model.requests[0].tools] == ["weather"]
    message = answer.json()["choices"][0]["message"]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "Hail"} for call in message["tool_calls"]]
    other = await client_of(api).chat.completions.create(model="scripted", messages=[*HI, message, *results])
    assert other.choices[0].message.content == "Mine."
    assert await ToolExecution.objects.filter(status="awaiting_client").acount() == 2
