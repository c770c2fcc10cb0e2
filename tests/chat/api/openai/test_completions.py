"""OpenAI's chat completions, with the real client of OpenAI and by hand; bad input first.

Covers `chat.api.openai.requests`, `chat.api.openai.model_names`, `chat.api.openai.views` and
`chat.wire.chat_completions`.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from chat.engine.messages import AssistantMessage, ToolMessage, UserMessage
from chat.engine.model_port import Finished, ProviderError, TokensUsed, ToolCall
from chat.providers.scripted import Scripted, text
from tests.access.conftest import MakeKey
from tests.access.conftest import make_key as make_key
from tests.conftest import Api, Start

STOP = Finished(reason="stop")
PNG = "data:image/png;base64,iVBORw0KGgo="
HI = [{"role": "user", "content": "Hi"}]


def picture(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


async def complete(api: Api, **body: Any) -> Any:
    return await api.call("POST", "/v1/chat/completions", json={"model": "scripted", "messages": HI, **body})


@pytest.fixture
async def client_of(make_key: MakeKey) -> AsyncIterator[Any]:
    key = await make_key("client", "chat", "tools")
    made: list[openai.AsyncOpenAI] = []

    def client(api: Api) -> openai.AsyncOpenAI:
        made.append(openai.AsyncOpenAI(base_url=f"{api.base_url}/v1", api_key=key.secret, max_retries=0))
        return made[-1]

    yield client
    for one in made:
        await one.close()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "system", "content": "Be brief."}]}, "messages"),
        ({"messages": [{"role": "function", "content": "x"}]}, "role"),
        ({"messages": [{"role": "tool", "tool_call_id": "a", "content": "x"}]}, "tool_call_id"),
        (
            {"messages": [{"role": "user", "content": [picture("https://x")]}]},
            "data:",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "audio", "audio": "x"}]}]}, "messages"),
        ({"model": ""}, "model"),
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"temperature": 9}, "temperature"),
        ({"response_format": {"type": "json_schema"}}, "json_schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "no"}}}}, "response_format"),
    ],
)
async def test_bad_requests_are_400_in_the_shape_of_openai(start: Start, changes: dict[str, Any], named: str) -> None:
    api = await start(Scripted())
    answer = await complete(api, **changes)
    error = answer.json()["error"]
    assert (answer.status, set(answer.json())) == (400, {"error"})
    assert (error["type"], set(error)) == ("invalid_request_error", {"message", "type", "code", "param"})
    assert named in error["message"]


async def test_other_errors_have_the_shape_too(start: Start, make_key: MakeKey) -> None:
    limited = await make_key("limited", "speech")
    failing = ProviderError("No such model here.", code="provider_rejected", retryable=False)
    api = await start(Scripted([failing]))
    for path, status, kind in (
        ("/v1/nothing", 404, "not_found_error"),
        ("/v1/models/nothing", 401, "authentication_error"),
    ):
        answer = await api.call("GET", path)
        assert (answer.status, answer.json()["error"]["type"]) == (status, kind)
    refused = await api.call("GET", "/v1/models", headers=limited.headers)
    assert (refused.status, refused.json()["error"]["type"]) == (403, "permission_error")
    chats = await make_key("chats", "chat")
    body = {"model": "scripted", "messages": HI}
    failed = await api.call("POST", "/v1/chat/completions", json=body, headers=chats.headers)
    assert (failed.status, failed.json()["error"]["code"]) == (400, "provider_rejected")


async def test_client_of_openai_gets_answers_streams_and_models(start: Start, client_of: Any) -> None:
    usage = TokensUsed(input_tokens=7, output_tokens=2, cached_tokens=3)
    model = Scripted([text("Bon", 'jour "é" \n'), usage, STOP], [text("Bon", "jour"), usage, STOP])
    client = client_of(await start(model))
    answer = await client.chat.completions.create(model="scripted", messages=HI)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ('Bonjour "é" \n', "stop")
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (7, 9)
    assert answer.usage.prompt_tokens_details.cached_tokens == 3
    stream = await client.chat.completions.create(
        model="scripted", messages=HI, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Bonjour"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage.completion_tokens == 2
    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    names = [one.id async for one in await client.models.list()]
    assert names == ["scripted-1", "scripted-1:plain"]
    assert (await client.models.retrieve("scripted-1:plain")).owned_by == "scripted"
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("none")


async def test_messages_are_used_as_sent(start: Start) -> None:
    model = Scripted([text("Done"), STOP])
    api = await start(model)
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Paris"}'}}
    messages = [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "Weather?"}, picture(PNG)],
        },
        {"role": "assistant", "content": None, "tool_calls": [call], "refusal": None, "annotations": []},
        {"role": "tool", "tool_call_id": "call_1", "content": "Rain"},
    ]
    answer = await complete(api, messages=messages, temperature=0.5, stop="END", max_tokens=9, user="u1")
    assert answer.json()["choices"][0]["message"]["content"] == "Done"
    (request,) = model.requests
    assert request.instructions == "Be brief."
    user, assistant, tool = request.messages
    assert isinstance(user, UserMessage)
    assert (user.text, user.images[0].media_type) == ("Weather?", "image/png")
    assert isinstance(assistant, AssistantMessage)
    assert assistant.tool_calls[0].call_id == "call_1"
    assert isinstance(tool, ToolMessage)
    assert (tool.name, tool.content) == ("weather", "Rain")
    assert (request.sampling.temperature, request.sampling.stop, request.sampling.max_output_tokens) == (
        0.5,
        ("END",),
        9,
    )
    stored = await api.get(f"/chat/sessions/{answer.headers['X-Session-Id']}/messages")
    assert [item["role"] for item in stored["items"]] == ["user", "assistant", "tool", "assistant"]


async def test_session_of_the_service_is_continued(start: Start, make_key: MakeKey) -> None:
    model = Scripted([text("One"), STOP], [text("Two"), STOP])
    api = await start(model)
    first = await complete(api)
    session = first.headers["X-Session-Id"]
    body = {"model": "scripted", "messages": [*HI, {"role": "user", "content": "And then?"}]}
    again = await api.call("POST", "/v1/chat/completions", json=body, headers={"X-Session-Id": session})
    assert again.headers["X-Session-Id"] == session
    assert [message.text for message in model.requests[1].messages] == ["Hi", "One", "And then?"]
    for bad, status in (("nothing", 400), ("01a204bc-4e7a-7b1f-a0d2-5c5f0a4c7e11", 404)):
        refused = await api.call("POST", "/v1/chat/completions", json=body, headers={"X-Session-Id": bad})
        assert refused.status == status


async def test_tools_of_the_service_run_unseen_and_plain_models_have_none(start: Start, client_of: Any) -> None:
    listing = ToolCall(call_id="c1", name="fs.list", arguments="{}")
    model = Scripted([listing, Finished(reason="tool_calls")], [text("Listed"), STOP], [text("Plain"), STOP])
    client = client_of(await start(model))
    stream = await client.chat.completions.create(model="scripted", messages=HI, stream=True)
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Listed"
    assert not any(chunk.choices[0].delta.tool_calls for chunk in chunks)
    answer = await client.chat.completions.create(model="scripted:plain", messages=HI)
    assert answer.choices[0].message.content == "Plain"
    assert [bool(request.tools) for request in model.requests] == [True, True, False]


async def test_structured_answer_is_checked(start: Start, client_of: Any) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    answers = [[text(f'{{"n": {value}}}'), STOP] for value in ('"x"', "1", '"y"', "2")]
    client = client_of(await start(Scripted(*answers)))
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
    asked = {"model": "scripted:plain", "messages": HI, "response_format": form}
    answer = await client.chat.completions.create(**asked)
    assert json.loads(answer.choices[0].message.content) == {"n": 1}
    stream = await client.chat.completions.create(**asked, stream=True)
    assert json.loads("".join([chunk.choices[0].delta.content or "" async for chunk in stream])) == {"n": 2}


async def test_failure_in_the_middle_of_a_stream_is_an_error(start: Start, client_of: Any) -> None:
    broken = ProviderError("The service broke.", code="provider_protocol", retryable=False)
    client = client_of(await start(Scripted([text("Half"), broken])))
    stream = await client.chat.completions.create(model="scripted", messages=HI, stream=True)
    pieces: list[str] = []
    with pytest.raises(openai.APIError, match="The service broke"):  # noqa: PT012  the stream breaks while it is read
        async for chunk in stream:
            pieces.append(chunk.choices[0].delta.content or "")  # noqa: PERF401  the pieces before the failure count
    assert "".join(pieces) == "Half"


async def test_run_that_waits_for_an_approval_is_a_409_without_a_stream(start: Start) -> None:
    write = ToolCall(call_id="c1", name="fs.write", arguments='{"path": "a.txt", "content": "x"}')
    api = await start(Scripted([write, Finished(reason="tool_calls")]), policy="ask fs.write")
    answer = await complete(api)
    assert (answer.status, answer.json()["error"]["code"]) == (409, "approval_required")
