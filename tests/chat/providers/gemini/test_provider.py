"""Covers `chat.providers.gemini.answers`, `chat.providers.gemini.client`, `chat.providers.gemini.failures`,
`chat.providers.gemini.parts`, `chat.providers.gemini.requests`.
"""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator

import msgspec
import pytest

from chat.engine.messages import (
    AssistantMessage,
    Image,
    Message,
    ProviderParts,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from chat.engine.model_port import (
    CompletionEvent,
    CompletionRequest,
    Finished,
    ProviderError,
    SamplingOptions,
    Text,
    TokensUsed,
)
from chat.providers.base import Timeouts
from chat.providers.gemini.provider import CONTEXT_TOKENS, GEMMA_CONTEXT_TOKENS, Gemini
from tests.chat.providers.fake_gemini import called, refused, said, sse, streamed
from tests.fake_service import FakeService, Reply, fake_service
from tools.base import ToolSpec

KEY = "a-key-that-nobody-may-see"
MODEL = "gemini-3-flash"
SIGNATURE = "aGk+/v8/AA=="
READ = ToolSpec(
    name="fs.read",
    description="Reads a file.",
    parameters={"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
)


@pytest.fixture
async def fake() -> AsyncIterator[FakeService]:
    async with fake_service() as fake:
        yield fake


@pytest.fixture
async def gemini(fake: FakeService) -> AsyncIterator[Gemini]:
    provider = made(fake)
    yield provider
    await provider.close()


@pytest.fixture
async def hasty(fake: FakeService) -> AsyncIterator[Gemini]:
    provider = made(fake, timeouts=Timeouts(connect=5, first_byte=0.2, idle=0.2))
    yield provider
    await provider.close()


def made(fake: FakeService, timeouts: Timeouts | None = None) -> Gemini:
    timeouts = timeouts or Timeouts(connect=5, first_byte=20, idle=20)
    return Gemini(api_key=KEY, base_url=fake.url, default_model=MODEL, timeouts=timeouts)


def asking(
    *messages: Message,
    model: str = MODEL,
    instructions: str = "",
    tools: tuple[ToolSpec, ...] = (),
    temperature: float | None = None,
    max_output_tokens: int | None = None,
) -> CompletionRequest:
    return CompletionRequest(
        model=model,
        messages=messages or (UserMessage(text="Hello?"),),
        instructions=instructions,
        tools=tools,
        sampling=SamplingOptions(temperature=temperature, max_output_tokens=max_output_tokens),
    )


async def events(gemini: Gemini, request: CompletionRequest | None = None) -> list[CompletionEvent]:
    return [event async for event in gemini.stream(request or asking())]


async def failure(gemini: Gemini, request: CompletionRequest | None = None) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await events(gemini, request)
    assert KEY not in str(caught.value)
    return caught.value


def text_of(streamed: list[CompletionEvent]) -> str:
    pieces = [piece for event in streamed if isinstance(event, Text) for piece in event.pieces]
    return str(json.loads(b'"' + b"".join(pieces) + b'"'))


def finished(streamed: list[CompletionEvent]) -> Finished:
    assert isinstance(streamed[-1], Finished)
    assert sum(isinstance(event, Finished) for event in streamed) == 1
    return streamed[-1]


def assembled(streamed: list[CompletionEvent]) -> AssistantMessage:
    """Return the assistant's message as the engine keeps it."""
    return AssistantMessage(
        text=text_of(streamed),
        tool_calls=tuple(event for event in streamed if isinstance(event, ToolCall)),
        provider_parts=finished(streamed).provider_parts,
    )


async def test_text_arrives_as_it_is_streamed(fake: FakeService, gemini: Gemini) -> None:
    fake.play(streamed(said("Hel"), said('lo "you"\n'), said("", finish="STOP")))
    answer = await events(gemini)
    assert answer == [Text((b"Hel",)), Text((b'lo \\"you\\"\\n',)), Finished(reason="stop")]


async def test_first_text_arrives_while_the_response_is_still_open(fake: FakeService, gemini: Gemini) -> None:
    fake.play(streamed(said("Hel"), ending="silence"))
    stream = gemini.stream(asking())
    assert await anext(stream) == Text((b"Hel",))
    await stream.aclose()


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
async def test_text_survives_a_cut_between_any_two_bytes(fake: FakeService, gemini: Gemini, newline: str) -> None:
    words = "Grüße, 世界 🎉\u2028 line\u0085 \\ end"
    body = sse(said(words), said("", finish="STOP"), newline=newline)
    fake.play(Reply(headers={"Content-Type": "text/event-stream"}, pieces=[bytes([byte]) for byte in body]))
    assert text_of(await events(gemini)) == words


async def test_lone_surrogate_is_replaced(fake: FakeService, gemini: Gemini) -> None:
    lone = b'data: {"candidates": [{"content": {"parts": [{"text": "a\\ud83d!"}]}, "finishReason": "STOP"}]}\r\n\r\n'
    fake.play(Reply(pieces=[lone]))
    assert text_of(await events(gemini)) == "a\ufffd!"


async def test_request_carries_the_key_the_settings_and_the_messages(fake: FakeService, gemini: Gemini) -> None:
    fake.play(streamed(said("Hi", finish="STOP")))
    history = (UserMessage(text="One"), AssistantMessage(text="Two"), UserMessage(text="Three"))
    await events(gemini, asking(*history, instructions="Be brief.", temperature=0.25, max_output_tokens=99))
    (request,) = fake.requests
    assert (request.method, request.target) == ("POST", f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse")
    assert request.headers["x-goog-api-key"] == KEY
    assert request.body["contents"] == [
        {"role": "user", "parts": [{"text": "One"}]},
        {"role": "model", "parts": [{"text": "Two"}]},
        {"role": "user", "parts": [{"text": "Three"}]},
    ]
    assert request.body["systemInstruction"]["parts"] == [{"text": "Be brief."}]
    assert request.body["generationConfig"] == {"temperature": 0.25, "maxOutputTokens": 99}


@pytest.mark.parametrize("model", ["", "..", "a/b", "models/../files", "m?key=x", "m:countTokens#", "m m", "a..b", "ü"])
async def test_invalid_model_name_sends_no_request(fake: FakeService, gemini: Gemini, model: str) -> None:
    error = await failure(gemini, asking(model=model))
    assert (error.code, error.retryable) == ("provider_rejected", False)
    assert fake.requests == []


@pytest.mark.parametrize("model", ["gemini-2.5-flash-preview-09-2025", "models/gemma-3-27b-it", "tunedModels/mine_1"])
async def test_every_valid_model_name_is_requested(fake: FakeService, gemini: Gemini, model: str) -> None:
    fake.play(streamed(said("Hi", finish="STOP")))
    await events(gemini, asking(model=model))
    assert model in fake.requests[0].target


async def test_unset_options_are_left_out_of_the_request(fake: FakeService, gemini: Gemini) -> None:
    fake.play(streamed(said("Hi", finish="STOP")))
    await events(gemini)
    body = fake.requests[0].body
    assert not body.get("generationConfig")
    assert "systemInstruction" not in body
    assert "tools" not in body


async def test_image_goes_inline_after_its_text(fake: FakeService, gemini: Gemini) -> None:
    fake.play(streamed(said("A dot", finish="STOP")))
    await events(gemini, asking(UserMessage(text="What?", images=(Image(media_type="image/png", data=b"\xff\xfe"),))))
    assert fake.requests[0].body["contents"] == [
        {"role": "user", "parts": [{"text": "What?"}, {"inlineData": {"mimeType": "image/png", "data": "//4="}}]}
    ]


async def test_tool_is_declared_under_its_wire_name(fake: FakeService, gemini: Gemini) -> None:
    fake.play(streamed(said("Hi", finish="STOP")))
    await events(gemini, asking(tools=(READ,)))
    (declarations,) = fake.requests[0].body["tools"]
    assert declarations["functionDeclarations"] == [
        {"name": "fs_read", "description": "Reads a file.", "parameters_json_schema": READ.parameters}
    ]


async def test_parallel_calls_have_the_names_of_the_registry(fake: FakeService, gemini: Gemini) -> None:
    fake.play(
        streamed(
            said("Looking. ", called("fs_read", path="a", signature=SIGNATURE)),
            said(called("fs_read", call_id="theirs", path="ü", deep={"none": None, "list": [1, 2.5, True]})),
            said("", finish="STOP"),
        )
    )
    answer = await events(gemini, asking(tools=(READ,)))
    first, second = assembled(answer).tool_calls
    assert first == ToolCall(call_id=first.call_id, name="fs.read", arguments='{"path":"a"}')
    assert (second.call_id, second.name) == ("theirs", "fs.read")
    assert json.loads(second.arguments) == {"path": "ü", "deep": {"none": None, "list": [1, 2.5, True]}}
    assert finished(answer).reason == "tool_calls"


async def test_unknown_tool_name_passes_through_unchanged(fake: FakeService, gemini: Gemini) -> None:
    fake.play(streamed(said(called("rm_rf"), finish="STOP")))
    (call,) = assembled(await events(gemini, asking(tools=(READ,)))).tool_calls
    assert (call.name, call.arguments) == ("rm_rf", "{}")


async def test_each_call_has_an_id_of_its_own(fake: FakeService, gemini: Gemini) -> None:
    calls = [called("fs_read"), called("default_api.fs_read", call_id="x"), called("fs_read", call_id="x")]
    fake.play(streamed(said(*calls, finish="STOP")))
    made = assembled(await events(gemini, asking(tools=(READ,)))).tool_calls
    assert [call.name for call in made] == ["fs.read"] * 3
    assert made[1].call_id == "x"
    assert all(re.fullmatch("[a-zA-Z0-9]{9}", call.call_id) for call in (made[0], made[2]))


async def test_nothing_after_a_finish_reason_takes_the_answer_away(fake: FakeService, gemini: Gemini) -> None:
    fake.play(streamed(said("Hi", finish="STOP"), ending="cut"))
    answer = await events(gemini)
    assert (text_of(answer), finished(answer).reason) == ("Hi", "stop")


async def test_thoughts_are_kept_as_reasoning(fake: FakeService, gemini: Gemini) -> None:
    fake.play(streamed(said({"text": "Hm.", "thought": True}, "Hi\x00", finish="STOP")))
    answer = assembled(await events(gemini))
    assert (answer.text, answer.reasoning) == ("Hi\ufffd", "Hm.")


async def test_parts_are_replayed_verbatim_to_the_same_model(fake: FakeService, gemini: Gemini) -> None:
    fake.play(
        streamed(
            said({"text": "Hm.", "thought": True}),
            said("I will "),
            said("look. "),
            said(called("fs_read", path="a", signature=SIGNATURE), called("fs_read", call_id="theirs", path=None)),
            said({"text": "", "thoughtSignature": SIGNATURE}, finish="STOP"),
        ),
        streamed(said("Done", finish="STOP")),
    )
    asked = UserMessage(text="Look")
    answer = assembled(await events(gemini, asking(asked, tools=(READ,))))
    assert answer.text == "I will look. "
    stored = msgspec.json.decode(msgspec.json.encode(answer), type=AssistantMessage)
    results = (
        ToolMessage(call_id=answer.tool_calls[0].call_id, name="fs.read", content="A"),
        ToolMessage(call_id="theirs", name="fs.read", content="no file", is_error=True),
    )
    await events(gemini, asking(asked, stored, *results, tools=(READ,)))
    assert fake.requests[1].body["contents"][1:] == [
        {
            "role": "model",
            "parts": [
                {"text": "Hm.", "thought": True},
                {"text": "I will look. "},
                {"functionCall": {"name": "fs_read", "args": {"path": "a"}}, "thoughtSignature": SIGNATURE},
                {"functionCall": {"id": "theirs", "name": "fs_read", "args": {"path": None}}},
                {"text": "", "thoughtSignature": SIGNATURE},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "fs_read", "response": {"output": "A"}}},
                {"functionResponse": {"id": "theirs", "name": "fs_read", "response": {"error": "no file"}}},
            ],
        },
    ]


def call_of(**parts: str) -> AssistantMessage:
    data = [{"functionCall": {"name": "fs_read", "args": {}}, "thoughtSignature": SIGNATURE}]
    return AssistantMessage(
        text="Well.",
        tool_calls=(ToolCall(call_id="c", name="fs.read", arguments='{"path":"a"}'),),
        provider_parts=ProviderParts(provider=parts["provider"], model=parts["model"], data=data) if parts else None,
    )


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(call_of(), id="without parts"),
        pytest.param(call_of(provider="gemini", model="gemini-2.5-pro"), id="of another model"),
        pytest.param(call_of(provider="openai", model=MODEL), id="of another provider"),
    ],
)
async def test_calls_of_other_models_are_sent_as_text(
    fake: FakeService, gemini: Gemini, message: AssistantMessage
) -> None:
    fake.play(streamed(said("Done", finish="STOP")))
    result = ToolMessage(call_id="c", name="fs.read", content="42")
    await events(gemini, asking(message, result, tools=(READ,)))
    assert fake.requests[0].body["contents"] == [
        {"role": "model", "parts": [{"text": "Well."}, {"text": '[Called the tool fs.read with {"path":"a"}]'}]},
        {"role": "user", "parts": [{"text": "[The tool fs.read answered]\n42"}]},
    ]


@pytest.mark.parametrize(
    "results",
    [
        pytest.param((), id="none"),
        pytest.param((ToolMessage(call_id="other", name="fs.read", content="42"),), id="of another call"),
        pytest.param((ToolMessage(call_id="c", name="fs.read", content="42"),) * 2, id="twice"),
    ],
)
async def test_own_call_without_exactly_one_result_is_sent_as_text(
    fake: FakeService, gemini: Gemini, results: tuple[ToolMessage, ...]
) -> None:
    fake.play(streamed(said("Done", finish="STOP")))
    await events(gemini, asking(call_of(provider="gemini", model=MODEL), *results, UserMessage(text="And?")))
    assert "functionCall" not in json.dumps(fake.requests[0].body)
    assert "functionResponse" not in json.dumps(fake.requests[0].body)


async def test_failed_result_without_its_call_is_sent_as_text(fake: FakeService, gemini: Gemini) -> None:
    fake.play(streamed(said("Done", finish="STOP")))
    await events(gemini, asking(ToolMessage(call_id="c", name="fs.read", content="denied", is_error=True)))
    assert fake.requests[0].body["contents"] == [
        {"role": "user", "parts": [{"text": "[The tool fs.read failed]\ndenied"}]}
    ]


async def test_empty_message_is_left_out(fake: FakeService, gemini: Gemini) -> None:
    fake.play(streamed(said("Hi", finish="STOP")))
    await events(gemini, asking(UserMessage(text="Hello"), AssistantMessage(text=""), UserMessage(text="Hello?")))
    assert [content["role"] for content in fake.requests[0].body["contents"]] == ["user", "user"]


async def test_usage_is_a_running_total_with_thoughts_as_output(fake: FakeService, gemini: Gemini) -> None:
    early = {"promptTokenCount": 100, "totalTokenCount": 100}
    last = {
        "promptTokenCount": 100,
        "candidatesTokenCount": 7,
        "thoughtsTokenCount": 30,
        "cachedContentTokenCount": 64,
        "totalTokenCount": 137,
    }
    fake.play(streamed(said("Hi", usage=early), said("", finish="STOP", usage=last)))
    assert await events(gemini) == [
        TokensUsed(input_tokens=100, output_tokens=0),
        Text((b"Hi",)),
        TokensUsed(input_tokens=100, output_tokens=37, cached_tokens=64, reasoning_tokens=30),
        Finished(reason="stop"),
    ]


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("BLOCKLIST", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("SPII", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"),
    ],
)
async def test_finish_reason_is_mapped_to_the_reasons_of_the_engine(
    fake: FakeService, gemini: Gemini, finish: str, reason: str
) -> None:
    fake.play(streamed(said("Partly", finish=finish)))
    answer = await events(gemini)
    assert text_of(answer) == "Partly"
    assert finished(answer).reason == reason


async def test_blocked_prompt_is_reported_as_content_filter(fake: FakeService, gemini: Gemini) -> None:
    fake.play(streamed({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 5}}))
    assert await events(gemini) == [TokensUsed(input_tokens=5, output_tokens=0), Finished(reason="content_filter")]


@pytest.mark.parametrize("finish", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "OTHER"])
async def test_failed_answer_is_retryable_and_keeps_its_usage(fake: FakeService, gemini: Gemini, finish: str) -> None:
    fake.play(streamed(said(finish=finish, usage={"promptTokenCount": 5})))
    stream = gemini.stream(asking())
    assert await anext(stream) == TokensUsed(input_tokens=5, output_tokens=0)
    with pytest.raises(ProviderError, match=finish) as caught:
        await anext(stream)
    assert (caught.value.code, caught.value.retryable) == ("provider_protocol", True)


CUT = "Gemini broke off: its answer was cut"
UNREADABLE = "Gemini broke off: its answer was not what the API describes"


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        pytest.param(streamed(said("Hel")), CUT, id="no finish reason"),
        pytest.param(streamed(), CUT, id="nothing at all"),
        pytest.param(streamed(said("Hel"), ending="cut"), CUT, id="connection lost"),
        pytest.param(Reply(pieces=[b'data: {"candidates": [\r\n\r\n']), UNREADABLE, id="half a JSON"),
        pytest.param(Reply(pieces=[b"data: 7\r\n\r\n"]), UNREADABLE, id="a number"),
        pytest.param(Reply(pieces=[b'data: {"candidates": [{"content": 7}]}\r\n\r\n']), UNREADABLE, id="wrong shape"),
        pytest.param(Reply(pieces=[b"data: \xff\xfe\r\n\r\n"]), UNREADABLE, id="not UTF-8"),
        pytest.param(Reply(pieces=[b"<html>Busy</html>"]), UNREADABLE, id="a page"),
        pytest.param(streamed({"error": {"message": "no code"}}), UNREADABLE, id="an error without a code"),
        pytest.param(
            Reply(pieces=[b'data: {"candidates":[{"content":{"parts":[{"functionCall":{"args":{"a":"\\ud83d"}}}]}}]}']),
            UNREADABLE,
            id="half of a surrogate pair in an argument",
        ),
    ],
)
async def test_malformed_answer_is_retryable(fake: FakeService, gemini: Gemini, reply: Reply, message: str) -> None:
    fake.play(reply)
    error = await failure(gemini)
    assert (str(error), error.code, error.retryable) == (message, "provider_protocol", True)


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(called("\ud83d"), id="a tool's name"),
        pytest.param(called("fs_read", call_id="\ud83d"), id="a call's id"),
        pytest.param({"executableCode": {"code": "\ud83d"}}, id="a part that is kept"),
    ],
)
async def test_lone_surrogate_outside_text_is_a_malformed_answer(
    fake: FakeService, gemini: Gemini, part: dict[str, object]
) -> None:
    escaped = json.dumps(said(part, finish="STOP")).encode()
    fake.play(Reply(pieces=[b"data: " + escaped + b"\r\n\r\n"]))
    assert str(await failure(gemini)) == UNREADABLE


TOO_LONG = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."
BAD_KEY = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}


@pytest.mark.parametrize(
    ("reply", "code", "retryable"),
    [
        (refused(400, "Invalid value at 'contents'"), "provider_rejected", False),
        (refused(400, "Please pass a valid one.", details=[BAD_KEY]), "provider_auth", False),
        (refused(400, "API key expired. Please renew the API key."), "provider_auth", False),
        (refused(400, TOO_LONG), "context_too_long", False),
        (refused(401), "provider_auth", False),
        (refused(403), "provider_auth", False),
        (refused(404), "provider_rejected", False),
        (refused(408), "provider_timeout", True),
        (refused(429), "provider_rate_limited", True),
        (refused(500), "provider_unavailable", True),
        (refused(503), "provider_unavailable", True),
        (Reply(status=502, headers={"Content-Type": "text/html"}, pieces=[b"<html>"]), "provider_unavailable", True),
        (streamed(said("Hel"), {"error": {"code": 503, "message": "overloaded"}}), "provider_unavailable", True),
    ],
)
async def test_rejection_has_its_error_code(
    fake: FakeService, gemini: Gemini, reply: Reply, code: str, *, retryable: bool
) -> None:
    fake.play(reply)
    error = await failure(gemini)
    assert (error.code, error.retryable, error.retry_after) == (code, retryable, None)
    assert len(fake.requests) == 1


async def test_rejection_includes_the_message_of_gemini_without_the_key(fake: FakeService, gemini: Gemini) -> None:
    fake.play(refused(403, f"The key {KEY} is not yours"))
    assert str(await failure(gemini)) == "Gemini answered 403: The key *** is not yours"


async def test_rejection_without_a_reason_states_that(fake: FakeService, gemini: Gemini) -> None:
    fake.play(Reply(status=400, pieces=[b'{"error": "no"}']))
    assert str(await failure(gemini)) == "Gemini answered 400: no reason is given"


RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}
HELP = {"@type": "type.googleapis.com/google.rpc.Help", "links": []}


@pytest.mark.parametrize(
    ("reply", "seconds"),
    [
        pytest.param(refused(429, headers={"Retry-After": "7"}), 7.0, id="header"),
        pytest.param(refused(429, details=[HELP, RETRY_INFO]), 34.5, id="RetryInfo"),
        pytest.param(refused(429, headers={"Retry-After": "7"}, details=[RETRY_INFO]), 7.0, id="both"),
        pytest.param(refused(429, headers={"Retry-After": "Wed, 21 Oct 2020 07:28:00 GMT"}), 0, id="past date"),
        pytest.param(refused(503, headers={"Retry-After": "2"}), 2.0, id="of a server's failure"),
    ],
)
async def test_rejection_reports_when_to_retry(
    fake: FakeService, gemini: Gemini, reply: Reply, seconds: float | None
) -> None:
    fake.play(reply)
    assert (await failure(gemini)).retry_after == seconds


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(status=None, ending="silence"), id="from the start"),
        pytest.param(streamed(ending="silence"), id="after the head"),
        pytest.param(streamed(said("Hel"), ending="silence"), id="in the middle"),
    ],
)
async def test_silent_service_times_out_and_is_disconnected(fake: FakeService, hasty: Gemini, reply: Reply) -> None:
    fake.play(reply)
    error = await failure(hasty)
    assert (error.code, error.retryable) == ("provider_timeout", True)
    await asyncio.wait_for(fake.disconnected.wait(), 10)


async def test_service_that_refuses_connections_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    provider = Gemini(
        api_key=KEY,
        base_url=f"http://127.0.0.1:{port}",
        default_model=MODEL,
        timeouts=Timeouts(connect=5, first_byte=20, idle=20),
    )
    error = await failure(provider)
    assert (error.code, error.retryable) == ("provider_unavailable", True)
    await provider.close()


async def test_closing_the_stream_disconnects(fake: FakeService, gemini: Gemini) -> None:
    fake.play(streamed(said("Hel"), ending="silence"))
    stream = gemini.stream(asking())
    await anext(stream)
    await stream.aclose()
    await asyncio.wait_for(fake.disconnected.wait(), 10)


async def test_cancelling_the_reader_disconnects(fake: FakeService, gemini: Gemini) -> None:
    fake.play(streamed(said("Hel"), ending="silence"))
    reached = asyncio.Event()

    async def read() -> None:
        async for _ in gemini.stream(asking()):
            reached.set()

    reader = asyncio.create_task(read())
    await asyncio.wait_for(reached.wait(), 10)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    await asyncio.wait_for(fake.disconnected.wait(), 10)


async def test_many_streams_are_open_concurrently(fake: FakeService, gemini: Gemini) -> None:
    fake.play(*(streamed(said("Hel"), ending="silence") for _ in range(200)))
    streams = [gemini.stream(asking()) for _ in range(200)]
    firsts = await asyncio.gather(*(anext(stream) for stream in streams))
    assert set(firsts) == {Text((b"Hel",))}
    await asyncio.gather(*(stream.aclose() for stream in streams))


async def test_only_generative_models_are_listed_with_the_default_first(fake: FakeService, gemini: Gemini) -> None:
    chats = ["generateContent", "countTokens"]
    first = [
        {"name": "models/gemini-2.5-pro", "supportedGenerationMethods": chats},
        {"name": "models/embedding-001", "supportedGenerationMethods": ["embedContent"]},
    ]
    second = [{"name": f"models/{MODEL}", "supportedGenerationMethods": chats}]
    fake.play(
        Reply(pieces=[json.dumps({"models": first, "nextPageToken": "more"}).encode()]),
        Reply(pieces=[json.dumps({"models": second}).encode()]),
    )
    assert await gemini.models() == (MODEL, "gemini-2.5-pro")
    assert [request.method for request in fake.requests] == ["GET", "GET"]


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (refused(403), "provider_auth"),
        (Reply(pieces=[b"<html>"]), "provider_protocol"),
    ],
)
async def test_failure_to_list_models_is_reported(fake: FakeService, gemini: Gemini, reply: Reply, code: str) -> None:
    fake.play(reply)
    with pytest.raises(ProviderError) as caught:
        await gemini.models()
    assert caught.value.code == code


async def test_listing_models_times_out(fake: FakeService, hasty: Gemini) -> None:
    fake.play(Reply(status=None, ending="silence"))
    with pytest.raises(ProviderError) as caught:
        await hasty.models()
    assert caught.value.code == "provider_timeout"


async def test_warming_up_sends_no_request(fake: FakeService, gemini: Gemini) -> None:
    await gemini.warm_up()
    assert fake.requests == []


def test_context_size_is_that_of_the_model_family() -> None:
    gemini = made(FakeService())
    assert gemini.context_tokens(MODEL) == CONTEXT_TOKENS
    assert gemini.context_tokens("gemma-3-27b-it") == GEMMA_CONTEXT_TOKENS
    assert gemini.context_tokens("models/gemma-3-27b-it") == GEMMA_CONTEXT_TOKENS
