"""Covers `chat.providers.openai.chunks`, `chat.providers.openai.finish_reasons`, `web.urls`."""

import asyncio
import base64
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any, Literal

import msgspec
import pytest

from chat.engine.messages import AssistantMessage, Image, Message, ToolCall, ToolMessage, UserMessage
from chat.engine.model_port import (
    CompletionEvent,
    CompletionRequest,
    Finished,
    ProviderError,
    SamplingOptions,
    Text,
)
from chat.engine.transcript import decode_pieces
from chat.providers.base import Timeouts
from chat.providers.openai import chunks
from chat.providers.openai.endpoint import Endpoint
from chat.providers.openai.provider import OpenAI
from chat.providers.refusals import refusal
from tests.chat.providers.fake_openai import DONE, call, delta, finish, refused, said, sse, streamed
from tests.fake_service import FakeService, Reply, fake_service
from tests.orchestrator_site.test_serve import ROOT
from tools.base import ToolSpec

KEY = "sk-nobody-may-see-this"
READ = ToolSpec(name="fs.read", description="Reads a file.", parameters={"type": "object", "properties": {}})
STOP = Finished(reason="stop")


@pytest.fixture
async def fake() -> AsyncIterator[FakeService]:
    async with fake_service() as fake:
        yield fake


@pytest.fixture
async def openai(fake: FakeService) -> AsyncIterator[OpenAI]:
    provider = made(fake, Timeouts(connect=5, first_byte=20, idle=20))
    yield provider
    await provider.close()


@pytest.fixture
async def hasty(fake: FakeService) -> AsyncIterator[OpenAI]:
    provider = made(fake, Timeouts(connect=0.2, first_byte=0.2, idle=0.2))
    yield provider
    await provider.close()


def made(fake: FakeService, timeouts: Timeouts) -> OpenAI:
    return OpenAI(Endpoint(name="openai", base_url=f"{fake.url}/v1", api_key=KEY, default_model="gpt-x"), timeouts)


def asking(*messages: Message, **options: Any) -> CompletionRequest:
    return CompletionRequest(model="gpt-x", messages=messages or (UserMessage(text="Hello?"),), **options)


async def events(openai: OpenAI, request: CompletionRequest | None = None) -> list[CompletionEvent]:
    return [event async for event in openai.stream(request or asking())]


def reason_of(found: list[CompletionEvent]) -> str:
    assert isinstance(found[-1], Finished)
    return found[-1].reason


def text_of(found: list[CompletionEvent]) -> str:
    return "".join(decode_pieces(event.pieces) for event in found if isinstance(event, Text))


async def failure(openai: OpenAI) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await events(openai)
    assert KEY not in str(caught.value)
    return caught.value


# Responses


async def test_text_streams_piece_by_piece(fake: FakeService, openai: OpenAI) -> None:
    fake.play(streamed(said("Hel"), said("lo", "!"), finish(), DONE))
    found = await events(openai)
    assert [piece for event in found if isinstance(event, Text) for piece in event.pieces] == [b"Hel", b"lo", b"!"]
    assert found[-1] == STOP


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64])
async def test_text_is_complete_however_the_bytes_are_segmented(fake: FakeService, openai: OpenAI, size: int) -> None:
    body = said("é漢😀", 'q"\\\n', "\u2028\u2029\x85\x0b") + finish() + DONE
    fake.play(streamed(*(body[at : at + size] for at in range(0, len(body), size))))
    assert text_of(await events(openai)) == 'é漢😀q"\\\n\u2028\u2029\x85\x0b'


@pytest.mark.parametrize("newline", [b"\r\n", b"\r", b"\n"])
async def test_every_line_ending_of_the_standard_is_accepted(fake: FakeService, openai: OpenAI, newline: bytes) -> None:
    body = (b": comment\n\nevent: message\nid: 7\n" + said("Hello") + b": ping\n\n" + finish() + DONE).replace(
        b"\n", newline
    )
    fake.play(streamed(*(body[at : at + 1] for at in range(len(body)))))
    found = await events(openai)
    assert (text_of(found), found[-1]) == ("Hello", STOP)


async def test_events_that_end_with_one_line_break_are_passed_on_at_once(fake: FakeService, openai: OpenAI) -> None:
    gate = asyncio.Event()
    first, second = (said(text).removesuffix(b"\n") for text in ("Hel", "lo"))
    fake.play(streamed(first + second, finish(), DONE, gate=gate))
    stream = openai.stream(asking())
    assert await anext(stream) == Text((b"Hel",))
    gate.set()
    assert [event async for event in stream] == [Text((b"lo",)), STOP]


async def test_data_over_several_lines_is_one_chunk(fake: FakeService, openai: OpenAI) -> None:
    body = b'data: {"choices": [{"delta":\ndata: {"content": "Hello"}}]}\n\n'
    fake.play(streamed(body, finish(), DONE))
    assert text_of(await events(openai)) == "Hello"


async def test_surrogate_pair_split_between_chunks_is_joined(fake: FakeService, openai: OpenAI) -> None:
    pieces = [b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % half for half in (rb"a\ud83d", rb"\ude00b")]
    fake.play(streamed(*pieces, finish(), DONE))
    found = await events(openai)
    assert text_of(found) == "a😀b"
    for event in found:
        if isinstance(event, Text):
            assert all(decode_pieces([piece]).isprintable() for piece in event.pieces)


async def test_lone_surrogate_becomes_a_replacement_character(fake: FakeService, openai: OpenAI) -> None:
    lone = rb'data: {"choices":[{"delta":{"content":"a\ud83d"}}]}' + b"\n\n"
    fake.play(streamed(lone, finish(), DONE))
    assert text_of(await events(openai)) == "a\ufffd"


async def test_lone_surrogate_in_a_call_becomes_a_replacement_character(fake: FakeService, openai: OpenAI) -> None:
    call = rb'{"index":0,"id":"\ud83d","function":{"name":"\ud83d","arguments":"{}"}}'
    fake.play(streamed(b'data: {"choices":[{"delta":{"tool_calls":[%b]}}]}\n\n' % call, finish("tool_calls"), DONE))
    assert ToolCall(call_id="\ufffd", name="\ufffd", arguments="{}") in await events(openai)


@pytest.mark.parametrize("nothing", [{"usage": None}, {"choices": []}, {"choices": [], "usage": None}, {}])
async def test_empty_chunks_are_skipped(fake: FakeService, openai: OpenAI, nothing: Any) -> None:
    fake.play(streamed(sse(nothing), said("Hi"), sse(nothing), finish(), DONE))
    assert text_of(await events(openai)) == "Hi"


@pytest.mark.parametrize(
    ("reason", "meant"),
    [
        ("MAX_TOKENS", "length"),
        ("eos", "stop"),
    ],
)
async def test_finish_reasons_are_mapped(fake: FakeService, openai: OpenAI, reason: str, meant: str) -> None:
    fake.play(streamed(said("Hi"), finish(reason), DONE))
    assert reason_of(await events(openai)) == meant


async def test_stream_without_done_ends_with_its_connection(fake: FakeService, openai: OpenAI) -> None:
    fake.play(streamed(said("Hi"), finish()[:-1]))
    assert (await events(openai))[-1] == STOP


# Tool calls


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([call(0, call_id="a", name="shred", arguments="{}")], ToolCall(call_id="a", name="shred", arguments="{}")),
        ([call(0, call_id="a", name="fs_read", arguments='{"')], ToolCall(call_id="a", name="fs.read", arguments='{"')),
        ([call(0, call_id="a", name="fs_read")], ToolCall(call_id="a", name="fs.read", arguments="{}")),
        ([call(None, name="fs_read", arguments="{}")], ToolCall(call_id="", name="fs.read", arguments="{}")),
    ],
    ids=["unknown tool", "invalid JSON", "no arguments", "no index and no id"],
)
async def test_irregular_tool_calls_are_passed_on_unchanged(
    fake: FakeService, openai: OpenAI, pieces: list[bytes], expected: ToolCall
) -> None:
    fake.play(streamed(*pieces, finish("stop"), DONE))
    found = await events(openai, asking(tools=(READ,)))
    (made,) = [event for event in found if isinstance(event, ToolCall)]
    if not expected.call_id:
        assert re.fullmatch("[a-zA-Z0-9]{9}", made.call_id)
        made = msgspec.structs.replace(made, call_id="")
    assert made == expected
    assert reason_of(found) == "tool_calls"


# Requests


async def test_request_contains_every_option_and_message(fake: FakeService, openai: OpenAI) -> None:
    fake.play(streamed(said("Hi"), finish(), DONE))
    messages = (
        UserMessage(text="What?", images=(Image(media_type="image/png", data=b"png"),)),
        AssistantMessage(text="", tool_calls=(ToolCall(call_id="a", name="fs.read", arguments="{}"),)),
        ToolMessage(call_id="a", name="fs.read", content="found"),
        AssistantMessage(text="That."),
        UserMessage(text="Sure?"),
    )
    await events(
        openai,
        asking(
            *messages,
            instructions="Be brief.",
            tools=(READ,),
            sampling=SamplingOptions(max_output_tokens=9, temperature=0),
        ),
    )
    (request,) = fake.requests
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.target == "/v1/chat/completions"
    assert request.body == {
        "model": "gpt-x",
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 9,
        "temperature": 0,
        "tools": [
            {
                "type": "function",
                "function": {"name": "fs_read", "description": "Reads a file.", "parameters": READ.parameters},
            }
        ],
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What?"},
                    {
                        "type": "image_url",
                        "image_url": {"url": f"data:image/png;base64,{base64.b64encode(b'png').decode()}"},
                    },
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "a", "type": "function", "function": {"name": "fs_read", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "a", "content": "found"},
            {"role": "assistant", "content": "That."},
            {"role": "user", "content": "Sure?"},
        ],
    }


async def test_service_that_refuses_the_ids_of_another_gets_portable_ones(fake: FakeService, openai: OpenAI) -> None:
    made = ToolCall(call_id="call_of-another", name="fs.read", arguments="{}")
    result = ToolMessage(call_id="call_of-another", name="fs.read", content="found")
    request = asking(UserMessage(text="What?"), AssistantMessage(text="", tool_calls=(made,)), result)
    fake.play(refused(400, {"message": "Tool call id"}), *[streamed(said("Hi"), finish(), DONE)] * 2)
    for _ in range(2):
        assert text_of(await events(openai, request)) == "Hi"
    first, *others = [sent.body["messages"][1]["tool_calls"][0]["id"] for sent in fake.requests]
    assert first == "call_of-another"
    assert [re.fullmatch("[a-zA-Z0-9]{9}", other) is not None for other in others] == [True, True]


async def test_refused_request_is_sent_again_only_for_its_ids(fake: FakeService, openai: OpenAI) -> None:
    made = ToolCall(call_id="call_a", name="fs.read", arguments="{}")
    request = asking(UserMessage(text="What?"), AssistantMessage(text="", tool_calls=(made,)))
    fake.play(refused(400), refused(400, {"message": "why"}))
    with pytest.raises(ProviderError, match="why"):
        await events(openai, request)
    assert len(fake.requests) == 2


# Misbehaviour


@pytest.mark.parametrize(
    ("reply", "code", "retryable"),
    [
        (refused(401), "provider_auth", False),
        (refused(403), "provider_auth", False),
        (refused(400), "provider_rejected", False),
        (refused(404), "provider_rejected", False),
        (refused(400, {"message": "too long", "code": "context_length_exceeded"}), "context_too_long", False),
        (refused(429), "provider_rate_limited", True),
        (refused(429, {"message": "pay", "code": "insufficient_quota"}), "provider_rate_limited", False),
        (refused(500), "provider_unavailable", True),
        (refused(503, "a string"), "provider_unavailable", True),
        (Reply(status=502, pieces=[b"<html>" + b"x" * 100_000]), "provider_unavailable", True),
        (streamed(said("Hi"), ending="cut"), "provider_unavailable", True),
        (streamed(said("Hi")), "provider_protocol", True),
        (streamed(b"data: {nonsense\n\n"), "provider_protocol", True),
        (streamed(b'data: {"choices": "none"}\n\n'), "provider_protocol", True),
        (streamed(b'data: {"choices":[{"delta":{"content":7}}]}\n\n'), "provider_protocol", True),
        (streamed(b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n'), "provider_protocol", True),
        (streamed(said("Hi"), b'data: {"error": {"message": "overloaded"}}\n\n'), "provider_unavailable", True),
        (streamed(b'data: {"error": {"message": "slow down", "code": 429}}\n\n'), "provider_rate_limited", True),
        (streamed(b"data: " + b"x" * 9_000_000), "provider_protocol", True),
    ],
)
async def test_each_failure_has_its_error_code(
    fake: FakeService, openai: OpenAI, reply: Reply, code: str, retryable: bool
) -> None:
    fake.play(reply)
    error = await failure(openai)
    assert (error.code, error.retryable) == (code, retryable)


async def test_context_that_a_service_reports_is_remembered(fake: FakeService, openai: OpenAI) -> None:
    fake.play(refused(400, {"message": "This model's maximum context length is 4096 tokens."}))
    assert (await failure(openai)).code == "context_too_long"
    assert (openai.context_tokens("gpt-x"), openai.context_tokens("other")) == (4_096, 32_768)


async def test_retry_after_is_reported(fake: FakeService, openai: OpenAI) -> None:
    fake.play(refused(429, headers={"Retry-After": "7"}))
    assert (await failure(openai)).retry_after == 7


@pytest.mark.parametrize("header", ["soon", "-3", "nan", "inf", "Wed, 21 Oct 2020 07:28:00 GMT", "Wed, 99 Oct 2020"])
async def test_invalid_retry_after_is_ignored(fake: FakeService, openai: OpenAI, header: str) -> None:
    fake.play(refused(429, headers={"Retry-After": header}))
    assert (await failure(openai)).retry_after in {None, 0}


async def test_key_is_masked_in_error_messages(fake: FakeService, openai: OpenAI) -> None:
    fake.play(refused(401, {"message": f"Incorrect API key provided: {KEY}"}))
    assert "***" in str(await failure(openai))


@pytest.mark.parametrize("reply", [Reply(status=None, ending="silence"), streamed(said("Hi"), ending="silence")])
async def test_silent_service_times_out(fake: FakeService, hasty: OpenAI, reply: Reply) -> None:
    fake.play(reply)
    error = await failure(hasty)
    assert (error.code, error.retryable) == ("provider_timeout", True)
    async with asyncio.timeout(5):
        await fake.disconnected.wait()


async def test_wait_for_the_first_token_is_not_the_wait_between_tokens(fake: FakeService) -> None:
    openai = made(fake, Timeouts(connect=5, first_byte=5, idle=0.05))
    gate = asyncio.Event()
    asyncio.get_running_loop().call_later(0.15, gate.set)
    fake.play(streamed(sse(delta(role="assistant", content="")), said("late"), finish(), DONE, gate=gate))
    assert text_of(await events(openai)) == "late"
    await openai.close()


async def test_comments_do_not_prolong_the_wait_for_the_first_token(fake: FakeService) -> None:
    openai = made(fake, Timeouts(connect=5, first_byte=0.2, idle=5))
    fake.play(streamed(b": queued\n\n", b": queued\n\n", ending="silence"))
    assert (await failure(openai)).code == "provider_timeout"
    await openai.close()


@pytest.mark.parametrize("ending", ["cut", "silence"])
@pytest.mark.parametrize("after", [b"", b"data: {broken\n\n", b'data: {"error": {"message": "late"}}\n\n', b"\xff\n\n"])
async def test_nothing_after_a_finish_reason_takes_the_answer_away(
    fake: FakeService, hasty: OpenAI, after: bytes, ending: Literal["cut", "silence"]
) -> None:
    fake.play(streamed(said("Hi"), finish() + after, ending=ending))
    found = await events(hasty)
    assert (text_of(found), found[-1]) == ("Hi", STOP)


async def test_calls_of_a_failed_answer_come_before_its_failure(fake: FakeService, openai: OpenAI) -> None:
    fake.play(streamed(call(0, call_id="a", name="fs_read", arguments="{}"), finish("error"), DONE))
    stream = openai.stream(asking(tools=(READ,)))
    assert isinstance(await anext(stream), ToolCall)
    with pytest.raises(ProviderError, match="'error'"):
        await anext(stream)


@pytest.mark.parametrize(
    "piece",
    [
        sse(delta(reasoning_content="x" * 99)),
        call(0, name="fs_read", arguments="x" * 99),
        said("<think>" + "x" * 92),
    ],
    ids=["reasoning", "arguments", "a thinking block"],
)
async def test_answer_without_text_has_a_limit(
    fake: FakeService, openai: OpenAI, monkeypatch: pytest.MonkeyPatch, piece: bytes
) -> None:
    monkeypatch.setattr(chunks, "MAX_UNSEEN_CHARACTERS", 500)
    fake.play(streamed(*[piece] * 9, ending="silence"))
    error = await failure(openai)
    assert (error.code, "500 characters" in str(error)) == ("provider_protocol", True)


async def test_refused_connection_is_provider_unavailable() -> None:
    timeouts = Timeouts(connect=1, first_byte=1, idle=1)
    openai = OpenAI(Endpoint(name="openai", base_url="http://127.0.0.1:9/v1", api_key=KEY, default_model="m"), timeouts)
    assert (await failure(openai)).code == "provider_unavailable"
    await openai.close()


async def test_closing_the_stream_closes_the_connection(fake: FakeService, openai: OpenAI) -> None:
    fake.play(streamed(said("Hi"), ending="silence"))
    stream = openai.stream(asking())
    assert isinstance(await anext(stream), Text)
    await stream.aclose()
    async with asyncio.timeout(5):
        await fake.disconnected.wait()


def test_rate_limit_with_an_unknown_code_is_retryable() -> None:
    assert refusal(429, "rate_limit_exceeded", "", None).retryable


# Models


async def test_models_are_listed_with_the_default_first(fake: FakeService, openai: OpenAI) -> None:
    listed = b'{"object": "list", "data": [{"id": "b", "object": "model"}, {"id": "a", "object": "model"}]}'
    fake.play(Reply(pieces=[listed]))
    assert await openai.models() == ("gpt-x", "a", "b")


@pytest.mark.parametrize("base", ["/d1", "/d1/"])
async def test_query_of_the_base_url_is_sent_behind_each_path(fake: FakeService, base: str) -> None:
    url = f"{fake.url}{base}?api-version=2024-10-21"
    openai = OpenAI(
        Endpoint(name="openai", base_url=url, api_key=KEY, default_model="gpt-x"),
        Timeouts(connect=5, first_byte=5, idle=5),
    )
    fake.play(streamed(said("Hi"), finish(), DONE), Reply(pieces=[b'{"data": []}']))
    assert text_of(await events(openai)) == "Hi"
    await openai.models()
    assert [request.target for request in fake.requests] == [
        "/d1/chat/completions?api-version=2024-10-21",
        "/d1/models?api-version=2024-10-21",
    ]
    await openai.close()


async def test_failure_to_list_models_is_reported(fake: FakeService, openai: OpenAI) -> None:
    fake.play(refused(500))
    with pytest.raises(ProviderError):
        await openai.models()


def test_vendor_package_is_not_imported_by_the_provider() -> None:
    program = "import sys, chat.providers.openai.provider; print('openai' in sys.modules)"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False\n"
