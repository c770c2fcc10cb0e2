"""Covers `chat.providers.anthropic.answers`, `chat.providers.anthropic.provider`, `chat.providers.anthropic.usage`."""

import json
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chat.engine.messages import Message, UserMessage
from chat.engine.model_port import CompletionRequest, Finished, ProviderError, Text, TokensUsed
from chat.engine.transcript import decode_pieces
from chat.providers import anthropic
from chat.providers.anthropic.answers import MAX_PAUSES, Reader
from chat.providers.anthropic.provider import Anthropic
from chat.providers.base import Timeouts
from tests.chat.providers.fake_anthropic import (
    PING,
    STOP,
    block,
    called,
    ended,
    event,
    failed,
    refused,
    said,
    started,
    streamed,
    thought,
)
from tests.chat.providers.whole_answers import read_whole
from tests.fake_service import FakeService, Reply, fake_service
from tools.base import ToolSpec

KEY = "sk-ant-nobody-may-see-this"
READ = ToolSpec(name="fs.read", description="Reads.", parameters={"type": "object"})
REQUEST = CompletionRequest(model="claude-x", messages=(UserMessage(text="Hello?"),), tools=(READ,))
TOOL = {"type": "tool_use", "id": "t", "name": "fs_read"}
Outcome = tuple[str, list[tuple[str, str]], TokensUsed | None, str]


@pytest.fixture
async def fake() -> AsyncIterator[FakeService]:
    async with fake_service() as fake:
        yield fake


@pytest.fixture
async def claude(fake: FakeService) -> AsyncIterator[Anthropic]:
    provider = made(fake, Timeouts(connect=5, first_byte=20, idle=20))
    yield provider
    await provider.close()


def made(fake: FakeService, timeouts: Timeouts) -> Anthropic:
    return Anthropic(api_key=KEY, base_url=fake.url, default_model="claude-x", timeouts=timeouts)


def asking(*messages: Message) -> CompletionRequest:
    return CompletionRequest(model="claude-x", messages=messages)


async def stream_to(pieces: list[bytes], provider: Anthropic) -> None:
    async for found in provider.stream(REQUEST):
        pieces += found.pieces if isinstance(found, Text) else ()


async def failure(provider: Anthropic) -> tuple[ProviderError, str]:
    """Return why an answer failed, and the text before that."""
    pieces: list[bytes] = []
    with pytest.raises(ProviderError) as caught:
        await stream_to(pieces, provider)
    assert KEY not in str(caught.value)
    return caught.value, decode_pieces(pieces)


def read(*segments: bytes) -> Outcome:
    """Return an answer's text, its calls, its usage, and its end with what is replayed."""
    text, calls, used, end = read_whole(Reader("anthropic", REQUEST), segments)
    if isinstance(end, ProviderError):
        return text, calls, used, f"{end.code} {end.retryable} {end}"
    assert end is not None
    parts = end.provider_parts
    return text, calls, used, end.reason + (json.dumps([parts.reasoning, parts.data["blocks"]]) if parts else "")


# Answers

WHOLE = (
    started(input_tokens=10, cache_read_input_tokens=20, cache_creation_input_tokens=30, output_tokens=1)
    + PING
    + thought(0, "Hm ", "é漢😀", signature="c2ln")
    + block(1, {"type": "redacted_thinking", "data": "b3BhcXVl"})
    + said(2, "Hel", "lo é漢😀\u2028", "")
    + called(3, "toolu_1", "fs_read", "", '{"path"', ': "a"}')
    + called(4, "toolu_2", "fs_read")
    + ended("tool_use", output_tokens=40, output_tokens_details={"thinking_tokens": 7})
    + STOP
)
USED = TokensUsed(input_tokens=60, output_tokens=40, cached_tokens=20, cache_write_tokens=30, reasoning_tokens=7)
ESCAPED = rb"""data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%b"}}"""
CASES: dict[str, tuple[bytes, tuple[str, list[Any], str]]] = {
    "whole": (
        WHOLE,
        (
            "Hello é漢😀\u2028",
            [("fs.read", '{"path": "a"}'), ("fs.read", "{}")],
            'tool_calls["Hm \\u00e9\\u6f22\\ud83d\\ude00", ',
        ),
    ),
    "nothing but an end": (started() + ended() + STOP, ("", [], "stop")),
    "carriage returns": (
        (b": hi\n\n" + started() + said(0, "a", "b") + ended() + STOP).replace(b"\n", b"\r\n"),
        ("ab", [], "stop"),
    ),
    "data alone, with its lines separated by single breaks": (
        b"".join(
            line + b"\n"
            for line in (started() + said(0, "a", "b") + ended() + STOP).split(b"\n")
            if line.startswith(b"data:")
        ),
        ("ab", [], "stop"),
    ),
    "escapes and a pair that is split between deltas": (
        started()
        + event("content_block_start", index=0, content_block={"type": "text", "text": "s"})
        + ESCAPED % rb"\u0000a\ud83d"
        + b"\n\n"
        + ESCAPED % rb"\ude00b\ud83d"
        + b"\n\n"
        + ended()
        + STOP,
        ("s\ufffda😀b\ufffd", [], "stop"),
    ),
    "deltas without starts": (
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": "a"})
        + event("content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": "{}"})
        + ended()
        + STOP,
        ("a", [("", "{}")], "tool_calls"),
    ),
    "unknown events, blocks, deltas and fields": (
        started()
        + event("new_event", index=0, delta={"text": "x"})
        + block(0, {"type": "new_block", "text": "x"}, {"type": "text_delta", "text": "x"})
        + block(1, {"type": "text", "text": "a"}, {"type": "citations_delta", "citation": {}}, {"type": "new", "x": 1})
        + block(2, {"type": ["odd"]}, {"type": "text_delta", "text": 7})
        + event("content_block_start", index=[1], content_block=None)
        + event("message_delta", delta=None, usage="many")
        + ended()
        + STOP,
        ("a", [], "stop"),
    ),
    "two calls with one id, one with a whole input": (
        started() + block(0, TOOL | {"input": {"path": "a"}}) + block(1, TOOL) + ended("tool_use") + STOP,
        ("", [("fs.read", '{"path": "a"}'), ("fs.read", "{}")], "tool_calls"),
    ),
    "an answer that is not a stream": (
        json.dumps(
            {
                "type": "message",
                "content": [{"type": "text", "text": "a"}, TOOL | {"input": {}}],
                "stop_reason": "tool_use",
                "usage": {"input_tokens": 1},
            }
        ).encode(),
        ("a", [("fs.read", "{}")], "tool_calls"),
    ),
    "a stop sequence": (started() + said(0, "a") + ended("stop_sequence") + STOP, ("a", [], "stop")),
    "no stop event": (started() + said(0, "a") + ended(), ("a", [], "stop")),
    "no stop reason": (started() + said(0, "a") + ended(None) + STOP, ("a", [], "stop")),
    "an error after the end": (
        started() + said(0, "a") + ended() + failed("api_error", "late"),
        ("a", [], "stop"),
    ),
    "cut by the maximum in a call": (
        started() + said(0, "a") + called(1, "t", "fs_read", '{"path": "/') + ended("max_tokens") + STOP,
        ("a", [("fs.read", '{"path": "/')], "length"),
    ),
    "thinking behind other thinking that cannot be stored": (
        started() + thought(0, "a\0", signature="s") + thought(1, "b", signature="t") + said(2, "c") + ended() + STOP,
        ("c", [], 'stop["a\\ufffd\\n\\nb", []]'),
    ),
    "a call in a paused answer": (
        started() + called(0, "t", "fs_read") + ended("pause_turn") + STOP,
        ("", [("fs.read", "{}")], "provider_unavailable True"),
    ),
    "cut by the context in thinking": (
        started()
        + thought(0, "one", signature="s")
        + event("content_block_start", index=1, content_block={"type": "thinking", "thinking": "two"})
        + ended("model_context_window_exceeded")
        + STOP,
        ("", [], 'length["one\\n\\ntwo", []]'),
    ),
    "a refusal": (
        started() + said(0, "a") + ended("refusal", {"type": "refusal", "explanation": "Too hot."}) + STOP,
        ("a", [], "provider_rejected False anthropic refused to answer: Too hot."),
    ),
    "an unknown reason": (
        started() + said(0, "a") + called(1, "t", "fs_read") + ended("melted") + STOP,
        ("a", [("fs.read", "{}")], "provider_unavailable True anthropic ended the answer with the finish reason 'melt"),
    ),
    "an error within a segment of text": (
        started() + said(0, "a", "b") + failed("overloaded_error", "Overloaded") + said(1, "c"),
        ("ab", [], "provider_unavailable True anthropic broke off: Overloaded"),
    ),
    "an error of a kind that does not pass": (
        failed("invalid_request_error", "prompt is too long: 9 tokens > 8 maximum"),
        ("", [], "context_too_long False"),
    ),
    "a rate limit within an answer": (failed("rate_limit_error", "Slow."), ("", [], "provider_rate_limited True")),
    "a cut": (started() + said(0, "a", "b"), ("ab", [], "provider_protocol True The answer was cut off.")),
    "an end without an answer": (started() + STOP, ("", [], "provider_protocol True The answer was empty.")),
    "a page": (
        b"<!doctype html><title>502 Bad\nGateway</title><p>x",
        ("", [], "provider_protocol True anthropic sent an HTML page (502 Bad Gateway) instead of an answer."),
    ),
    "an error document": (
        b'{"type":"error","error":{"type":"api_error","message":"gone"}}',
        ("", [], "provider_unavailable True anthropic broke off: gone"),
    ),
    "bytes that are not UTF-8": (
        started() + said(0, "é") + said(1, "b").replace(b'"b"', b'"\xff"') + ended() + STOP,
        ("é", [], "provider_protocol True"),
    ),
    "a chunk that is not JSON": (started() + said(0, "a") + b"data: {no\n\n", ("a", [], "provider_protocol True")),
}


@pytest.mark.parametrize("case", CASES)
def test_answer_has_one_meaning_however_its_bytes_are_cut(case: str) -> None:
    body, (text, calls, end) = CASES[case]
    whole = read(body)
    assert (*whole[:2], whole[3][: len(end)]) == (text, calls, end)
    chance = random.Random(len(body))
    for cut in range(1, len(body), 5):
        at = cut + chance.randrange(5)
        assert read(body[:at], body[at:]) == whole, at
    assert read(*(body[at : at + 1] for at in range(len(body)))) == whole


def test_usage_counts_what_was_read_from_and_written_to_the_cache() -> None:
    assert read(WHOLE)[2] == USED
    # The output is only known at the end, and an answer that failed before its text is asked for again.
    cut = read(started(input_tokens=10, output_tokens=1) + said(0, "a"))
    assert cut[2] == TokensUsed(input_tokens=10, output_tokens=0)
    assert read(started(input_tokens=10))[2] is None
    odd = ended(output_tokens="5", input_tokens=-1, cache_read_input_tokens=True, output_tokens_details=[])
    assert read(started(input_tokens=3) + odd)[2] is not None


@pytest.mark.parametrize(
    "body",
    [
        said(0, "a") * 1_001,
        event("content_block_start", index=0, content_block={"type": "thinking"})
        + event("content_block_delta", index=0, delta={"thinking": "a" * 2**20}) * 9,
    ],
)
def test_endless_answer_is_given_up(body: bytes) -> None:
    assert read(started() + body)[3].startswith("provider_protocol")


# The service


async def test_request_and_answer_pass_over_the_wire(fake: FakeService, claude: Anthropic) -> None:
    fake.play(streamed(WHOLE[:700], WHOLE[700:]))
    found = [item async for item in claude.stream(REQUEST)]
    assert isinstance(found[-1], Finished)
    (request,) = fake.requests
    assert (request.method, request.target) == ("POST", "/v1/messages")
    assert [request.headers[name] for name in ("x-api-key", "anthropic-version")] == [KEY, "2023-06-01"]
    assert (request.body["stream"], request.body["max_tokens"]) == (True, 32_000)
    assert request.body["tools"][0]["name"] == "fs_read"


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (refused(529, "overloaded_error", "Overloaded", {"retry-after": "7"}), ("provider_unavailable", True, 7.0)),
        (refused(429, "rate_limit_error", "Slow", {"retry-after": "3"}), ("provider_rate_limited", True, 3.0)),
        (refused(401, "authentication_error", f"invalid {KEY}"), ("provider_auth", False, None)),
        (refused(400, "invalid_request_error", "prompt is too long: 9 > 8"), ("context_too_long", False, None)),
        (refused(400, "invalid_request_error", "temperature: range: 0..1"), ("provider_rejected", False, None)),
        (Reply(status=502, pieces=[b"<html><title>Bad</title><b>"]), ("provider_unavailable", True, None)),
        (Reply(status=307, headers={"Location": "http://other/"}), ("provider_rejected", False, None)),
    ],
)
async def test_refusals_have_their_code(
    fake: FakeService, claude: Anthropic, reply: Reply, expected: tuple[str, bool, float | None]
) -> None:
    fake.play(reply)
    error, _ = await failure(claude)
    assert (error.code, error.retryable, error.retry_after) == expected
    assert "<" not in str(error)


async def test_text_before_a_cut_is_kept(fake: FakeService, claude: Anthropic) -> None:
    fake.play(streamed(started() + said(0, "kept"), ending="cut"))
    error, text = await failure(claude)
    assert (error.code, error.retryable, text) == ("provider_unavailable", True, "kept")


async def test_pings_alone_do_not_keep_an_answer_alive(fake: FakeService) -> None:
    hasty = made(fake, Timeouts(connect=5, first_byte=0.2, idle=20))
    fake.play(streamed(started(), PING, PING, ending="silence"))
    error, _ = await failure(hasty)
    assert error.code == "provider_timeout"
    await hasty.close()


def paused(number: int) -> Reply:
    searched = block(
        1, {"type": "server_tool_use", "id": f"s{number}", "name": "web_search"}, {"partial_json": '{"q": 1}'}
    )
    return streamed(
        started(input_tokens=9), said(0, f"a{number}"), searched, ended("pause_turn", output_tokens=5), STOP
    )


async def test_paused_answer_continues_behind_its_own_blocks(fake: FakeService, claude: Anthropic) -> None:
    fake.play(paused(1), paused(2), streamed(started(input_tokens=9), said(0, "end"), ended(output_tokens=5), STOP))
    found = [item async for item in claude.stream(REQUEST)]
    assert decode_pieces([piece for item in found if isinstance(item, Text) for piece in item.pieces]) == "a1a2end"
    assert found[-2:] == [TokensUsed(input_tokens=27, output_tokens=15), Finished(reason="stop")]
    search = {"type": "server_tool_use", "name": "web_search", "input": {"q": 1}}
    assert fake.requests[2].body["messages"][-1] == {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "a1"},
            search | {"id": "s1"},
            {"type": "text", "text": "a2"},
            search | {"id": "s2"},
        ],
    }


async def test_answer_that_pauses_for_ever_fails_with_the_service_word(fake: FakeService, claude: Anthropic) -> None:
    fake.play(*(paused(number) for number in range(20)))
    error, text = await failure(claude)
    assert "pause_turn" in str(error)
    assert len(fake.requests) == MAX_PAUSES + 1
    assert text.startswith("a0a1")


async def test_models_are_read_page_by_page_and_only_so_many(fake: FakeService, claude: Anthropic) -> None:
    fake.play(*(listed(f"claude-{page}", last=f"id&{page}") for page in range(9)))
    assert await claude.models() == ("claude-x", *(f"claude-{page}" for page in range(5)))
    assert [request.target for request in fake.requests[:2]] == [
        "/v1/models?limit=1000",
        "/v1/models?limit=1000&after_id=id%260",
    ]


async def test_list_of_models_ends_where_the_service_says(fake: FakeService, claude: Anthropic) -> None:
    fake.play(listed("claude-1", last=None), Reply(pieces=[b'"no list"']))
    assert await claude.models() == ("claude-x", "claude-1")
    with pytest.raises(ProviderError):
        await claude.models()


def listed(name: str, last: str | None) -> Reply:
    page = {"data": [{"type": "model", "id": name}], "has_more": last is not None, "last_id": last}
    return Reply(pieces=[json.dumps(page).encode()])


def test_context_is_that_of_the_public_data_or_the_usual_one(claude: Anthropic) -> None:
    assert claude.context_tokens("claude-opus-4-7") == 1_000_000
    assert claude.context_tokens("unheard-of") == 200_000


@pytest.mark.parametrize(
    ("url", "key", "missing", "vendor"),
    [
        ("https://api.anthropic.com", "", "ANTHROPIC_API_KEY is not set", "anthropic"),
        ("https://api.anthropic.com", "k", "", "anthropic"),
        ("http://localhost:9", "", "", None),
    ],
)
def test_only_the_vendors_own_service_needs_a_key_and_has_prices(
    url: str, key: str, missing: str, vendor: str | None
) -> None:
    values = {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": key}
    assert (anthropic.SPEC.missing(values), anthropic.SPEC.price_vendor(values)) == (missing, vendor)
