"""Both clients against the real service and against servers that fail; bad input first.

Covers `orchestrator_client.client`, `orchestrator_client.async_client`, `orchestrator_client.core.flows`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any

import pytest
from orchestrator_client import (
    Answer,
    ApiError,
    Client,
    ClientTool,
    ClientToolCall,
    ConnectionLost,
    End,
    Error,
    Execution,
    ProtocolError,
    Reconnecting,
    RunFailed,
    Start,
    Token,
    ToolCall,
    ToolError,
    ToolResult,
    Unknown,
)
from orchestrator_client.core.flows import ATTEMPTS

from chat.engine.model_port import Finished, ProviderError, TokensUsed
from chat.engine.model_port import ToolCall as ModelCall
from chat.providers.scripted import Scripted, text
from chat.wire import sse
from tests.access.conftest import MakeKey, revoke
from tests.access.conftest import make_key as make_key
from tests.chat.wire import runs
from tests.clients.python.conftest import SECONDS, ClientTo, text_of
from tests.conftest import Start as StartService
from tests.cutting import NO_RESPONSE, ONE_RESPONSE, Frames, cutting
from tools.resources import workspaces

STOP = Finished(reason="stop")
USED = TokensUsed(input_tokens=7, output_tokens=2)
ANSWER = [text("Seven", " files."), USED, STOP]
CALLS = Finished(reason="tool_calls")
ROOM = [ModelCall(call_id="1", name="room", arguments='{"floor": 3}'), CALLS]
WRITE = [ModelCall(call_id="1", name="fs.write", arguments='{"path": "asked.txt", "content": "a"}'), CALLS]

Respond = Callable[[asyncio.StreamWriter], Awaitable[None]]


def head(status: int, media_type: str, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Type: {media_type}", "Connection: close"]
    return "\r\n".join([*lines, *headers, "", ""]).encode()


@asynccontextmanager
async def answering(*responses: bytes) -> AsyncIterator[str]:
    """Run a server that answers its n-th request with the n-th response, and each later one with the last."""
    count = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        response = responses[min(count, len(responses) - 1)]
        count += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response)
        # A client may close the connection before it has all of the response.
        with suppress(ConnectionError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1")
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("url", ["", "ftp://x", "127.0.0.1:8010", "http://", "http://x:0", "http://x:y"])
async def test_invalid_address_is_rejected(client_to: ClientTo, url: str) -> None:
    with pytest.raises(ValueError, match="is not the address of a service"):
        client_to(url)


@pytest.mark.parametrize("key", ["a\nb", "ä"])
async def test_key_that_cannot_be_sent_is_rejected_without_its_text(client_to: ClientTo, key: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII") as caught:
        client_to("http://127.0.0.1:1", api_key=key)
    assert key not in str(caught.value)


async def test_invalid_options_are_rejected(client_to: ClientTo, unused_tcp_port: int) -> None:
    client = client_to(f"http://127.0.0.1:{unused_tcp_port}")
    for key in ("a\nb", "x" * 256, "ä"):
        with pytest.raises(ValueError, match="idempotency key"):
            await client.call("stream", "Hi", idempotency_key=key)
    for run_id in ("", ".", ".."):
        with pytest.raises(ValueError, match="is not an id"):
            await client.call("follow", run_id)
        with pytest.raises(ValueError, match="is not an id"):
            await client.call("cancel", run_id)
    for path in ("", "/a", "a/../../b", "a//b", "."):
        with pytest.raises(ValueError, match="is not the path of a file"):
            await client.call("read_file", path)


async def test_unreachable_service_is_reported_at_once(client_to: ClientTo, unused_tcp_port: int) -> None:
    client = client_to(f"http://127.0.0.1:{unused_tcp_port}")
    for name, arguments in (("stream", ["Hi"]), ("ask", ["Hi"]), ("follow", ["a"]), ("tools", [])):
        with pytest.raises(ConnectionLost, match=f"Cannot reach http://127.0.0.1:{unused_tcp_port}|cannot be followed"):
            await client.call(name, *arguments)
        assert client.seen == []


@pytest.mark.parametrize(
    ("response", "kind", "message"),
    [
        (head(200, "text/html") + b"<html>", ProtocolError, "is another service: it answers with text/html"),
        (head(404, "text/html") + b"<html>" * 50_000, ApiError, "The service answers 404"),
        (head(301, "text/html", "Location: http://127.0.0.1:1/"), ApiError, "The service answers 301"),
        (head(200, sse.CONTENT_TYPE) + b"data: <html>\n\n", ProtocolError, "invalid event"),
        (head(200, sse.CONTENT_TYPE) + b"data: " + b"x" * 9 * 2**20, ProtocolError, "more than 8,388,608 bytes"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", ConnectionLost, "Cannot reach"),
    ],
    ids=["page", "error page", "redirect", "not events", "endless event", "another protocol"],
)
async def test_server_that_is_not_this_service_is_reported(
    client_to: ClientTo, response: bytes, kind: type[Exception], message: str
) -> None:
    async with answering(response) as url:
        with pytest.raises(kind, match=message):
            await client_to(url).call("stream", "Hi")


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"items": [{}], "count": 1}', b"[" * 100_000])
async def test_answer_that_is_not_the_expected_value_is_reported(client_to: ClientTo, body: bytes) -> None:
    async with answering(head(200, "application/json") + body) as url:
        with pytest.raises(ProtocolError, match="cannot be read"):
            await client_to(url).call("sessions")


async def test_unknown_event_is_a_value_and_the_stream_continues(client_to: ClientTo) -> None:
    frames = [b'id: 1\ndata: {"type":"news","a":1}\n\n', sse.frame(2, runs.token("Hi")), sse.frame(3, runs.end())]
    async with answering(head(200, sse.CONTENT_TYPE) + b"".join(frames)) as url:
        items = await client_to(url).call("follow", "a")
    assert items[0] == Unknown(type="news", fields={"a": 1})
    assert [type(item) for item in items[1:]] == [Token, End]


async def test_rate_limit_is_reported_with_the_wait(start: StartService, client_to: ClientTo, settings: Any) -> None:
    settings.API_KEY, settings.RATE_LIMIT_PER_KEY = "secret-1", "1/day"
    api = await start(Scripted(ANSWER))
    client = client_to(api.base_url, api_key="secret-1")
    assert (await client.call("ask", "Hi")).text == "Seven files."
    with pytest.raises(ApiError, match="Rate limit exceeded") as caught:
        await client.call("ask", "Hi")
    assert (caught.value.status, caught.value.code) == (429, "rate_limited")
    assert caught.value.retry_after > 0


async def test_busy_service_is_asked_again_when_a_run_is_continued(client_to: ClientTo) -> None:
    started = head(200, sse.CONTENT_TYPE, "X-Run-Id: a") + sse.frame(1, runs.start()) + sse.frame(2, runs.token("Hi"))
    busy = [head(503, "text/html"), head(429, "application/json", "Retry-After: 0") + b"{}"]
    rest = head(200, sse.CONTENT_TYPE) + sse.frame(3, runs.end())
    async with answering(started, *busy, rest) as url:
        items = await client_to(url).call("stream", "Hi")
    assert [type(item) for item in items] == [Start, Token, *[Reconnecting] * 3, End]
    assert [item.why for item in items if isinstance(item, Reconnecting)][1:] == [
        "the service answers 503",
        "the service answers 429",
    ]
    # The answer to the first request is the caller's to judge.
    async with answering(busy[0], rest) as url:
        with pytest.raises(ApiError, match="answers 503"):
            await client_to(url).call("stream", "Hi")


async def test_missing_and_revoked_keys_are_reported(
    start: StartService, client_to: ClientTo, make_key: MakeKey
) -> None:
    alice = await make_key("alice")
    begun = asyncio.Event()

    async def revoked() -> None:
        begun.set()
        await revoke(alice)
        await asyncio.Event().wait()

    api = await start(Scripted([text("Half"), revoked]))
    with pytest.raises(ApiError, match="Authentication required") as caught:
        await client_to(api.base_url).call("stream", "Hi")
    assert caught.value.status == 401
    # The stream ends, and following it again shows the reason.
    with pytest.raises(ApiError) as caught:
        await client_to(api.base_url, api_key=alice.secret).call("ask", "Hi")
    assert begun.is_set()
    assert (caught.value.status, caught.value.code) == (401, "key_revoked")


async def test_rejected_request_is_an_error_with_the_fields(start: StartService, client_to: ClientTo) -> None:
    client = client_to((await start(Scripted())).base_url)
    with pytest.raises(ApiError) as caught:
        await client.call("ask", "Hi", temperature=9)
    assert (caught.value.status, caught.value.detail[0]["field"]) == (422, "temperature")
    with pytest.raises(ApiError, match="There is no such run"):
        await client.call("follow", "01a204bc-4e7a-79ec-8c8b-159f994b660d")


async def test_answer_is_a_value_and_its_session_continues(start: StartService, client_to: ClientTo) -> None:
    model = Scripted(ANSWER, ANSWER)
    client = client_to((await start(model)).base_url)
    answer: Answer = await client.call("ask", "How many?", instructions="Count.", user="ann", metadata={"a": 1})
    assert (answer.text, answer.reason, answer.usage.input_tokens) == ("Seven files.", "completed", 7)
    assert (answer.provider, answer.model) == ("scripted", "scripted-1")
    assert (await client.call("ask", "Again", session_id=answer.session_id)).session_id == answer.session_id
    assert [message.text for message in model.requests[1].messages] == ["How many?", "Seven files.", "Again"]
    assert model.requests[0].instructions == "Count."


async def test_failed_run_is_an_error_event_and_an_exception_with_the_text(
    start: StartService, client_to: ClientTo
) -> None:
    cut = ProviderError("It was cut.", code="provider_protocol", retryable=True)
    client = client_to((await start(Scripted([text("Par"), cut], [text("Par"), cut]))).base_url)
    assert isinstance((await client.events("stream", "Hi"))[-1], Error)
    with pytest.raises(RunFailed, match="It was cut") as caught:
        await client.call("ask", "Hi")
    assert (caught.value.code, caught.value.text) == ("provider_protocol", "Par")
    assert (await client.call("run", caught.value.run_id)).status == "failed"


async def test_cancelled_run_ends_with_its_text(start: StartService, client_to: ClientTo) -> None:
    begun, held = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        begun.set()
        await held.wait()

    client = client_to((await start(Scripted([text("Once"), hold]))).base_url)
    asking = asyncio.create_task(client.call("ask", "A story"))
    await begun.wait()
    # The model may be asked before the run is stored.
    async with asyncio.timeout(SECONDS):
        while not (found := (await client.call("sessions")).items):
            await asyncio.sleep(0.01)
    await client.call("cancel", found[0].active_run)
    answer = await asking
    assert (answer.text, answer.reason) == ("Once", "cancelled")


async def test_run_is_the_same_wherever_its_connection_is_cut(start: StartService, client_to: ClientTo) -> None:
    listing = [text(*"Look: ", "there"), ModelCall(call_id="l", name="fs.list", arguments="{}"), CALLS]
    api = await start(Scripted(*[listing, ANSWER] * 2))
    whole = await client_to(api.base_url).events("stream", "Hi")
    run_id = whole[0].run_id
    assert len(whole) > ATTEMPTS + 4
    for cut in [*map(Frames, range(len(whole))), *range(0, 600, 13)]:
        async with cutting(api.base_url, cut) as url:
            items = await client_to(url).call("follow", run_id)
        assert [item for item in items if not isinstance(item, Reconnecting)] == whole
        assert sum(isinstance(item, Reconnecting) for item in items) == 1
    # Each connection brings one frame, also those of a run that is not over.
    async with cutting(api.base_url, *[Frames(1)] * len(whole)) as url:
        events = await client_to(url).events("stream", "Hi")
    assert [type(event) for event in events] == [type(event) for event in whole]
    assert text_of(events) == text_of(whole) == "Look: thereSeven files."


@pytest.mark.parametrize("stored", [True, False])
async def test_question_whose_response_is_lost_starts_one_run(
    start: StartService, client_to: ClientTo, stored: bool
) -> None:
    model = Scripted(ANSWER, ANSWER)
    api = await start(model, stored=stored)
    async with cutting(api.base_url, NO_RESPONSE, NO_RESPONSE, Frames(0)) as url:
        items = await client_to(url).call("stream", "Hi")
    assert [type(item) for item in items] == [*[Reconnecting] * 3, Start, Token, Token, *[type(items[6])], End]
    assert len(model.requests) == 1
    # Two questions of the same text are two runs.
    assert (await client_to(api.base_url).call("ask", "Hi")).run_id != items[-1].run_id


async def test_key_of_the_caller_returns_the_same_run(start: StartService, client_to: ClientTo) -> None:
    client = client_to((await start(Scripted(ANSWER))).base_url)
    first = await client.call("ask", "Hi", idempotency_key="one")
    assert await client.call("ask", "Hi", idempotency_key="one") == first
    with pytest.raises(ApiError) as caught:
        await client.call("ask", "Hello", idempotency_key="one")
    assert caught.value.code == "idempotency_mismatch"


async def test_client_gives_up_after_bounded_attempts(start: StartService, client_to: ClientTo) -> None:
    held = asyncio.Event()
    api = await start(Scripted([text("Hel"), held.wait]))
    seen: list[Any] = []
    async with cutting(api.base_url, Frames(2), *[Frames(0)] * ATTEMPTS) as url:
        with pytest.raises(ConnectionLost, match="cannot be followed any more") as caught:
            await client_to(url).call("ask", "Hi", on_disconnect="continue")
    assert caught.value.after == 2
    seen = await client_to(api.base_url).call("cancel", caught.value.run_id)
    rest = await client_to(api.base_url).events("follow", caught.value.run_id, caught.value.after)
    assert isinstance(rest[-1], End)
    assert seen.id == caught.value.run_id


async def test_followed_run_that_is_over_has_no_more_events(start: StartService, client_to: ClientTo) -> None:
    client = client_to((await start(Scripted(ANSWER))).base_url)
    events = await client.events("stream", "Hi")
    assert await client.call("follow", events[0].run_id, len(events)) == []
    assert await client.events("follow", events[0].run_id, 2) == events[2:]
    with pytest.raises(ApiError, match="past the run's last event"):
        await client.call("follow", events[0].run_id, 99)


async def test_function_answers_the_model_once(start: StartService, client_to: ClientTo) -> None:
    floors: list[int] = []

    def room(floor: int) -> dict[str, int]:
        """Return a free room."""
        floors.append(floor)
        return {"room": floor * 100}

    model = Scripted(ROOM, ANSWER)
    api = await start(model)
    # The connection is cut behind the call, and before the call of the function.
    async with cutting(api.base_url, Frames(3)) as url:
        events = await client_to(url).events("stream", "A room?", client_tools=[room])
    assert floors == [3]
    assert [event.data for event in events if isinstance(event, ToolResult)] == [{"room": 300}]
    (declared,) = [tool for tool in model.requests[0].tools if tool.name == "room"]
    assert declared.description == "Return a free room."
    # A replay of the run does not call it again.
    assert await client_to(api.base_url).events("follow", events[0].run_id, client_tools=[room]) == events
    assert floors == [3]


async def test_failure_of_a_function_is_an_error_for_the_model(start: StartService, client_to: ClientTo) -> None:
    def room(floor: int) -> None:
        raise LookupError(f"Floor {floor} has no rooms.")

    answer = await client_to((await start(Scripted(ROOM, ANSWER))).base_url).call("ask", "A room?", client_tools=[room])
    (error,) = [event for event in answer.events if isinstance(event, ToolError)]
    assert (error.code, error.error) == ("failed", "LookupError: Floor 3 has no rooms.")
    assert answer.text == "Seven files."


async def test_result_whose_response_is_lost_is_given_again(start: StartService, client_to: ClientTo) -> None:
    floors: list[int] = []

    def room(floor: int) -> int:
        floors.append(floor)
        return floor

    api = await start(Scripted(ROOM, ANSWER))
    # The question about the execution and its result use the second connection.
    async with cutting(api.base_url, None, ONE_RESPONSE) as url:
        answer = await client_to(url).call("ask", "A room?", client_tools=[room])
    assert (answer.text, floors) == ("Seven files.", [3])


async def test_declared_tool_is_answered_by_the_caller(start: StartService, client_to: ClientTo) -> None:
    api = await start(Scripted(ROOM, ANSWER))
    client = client_to(api.base_url)
    asking = asyncio.create_task(client.call("ask", "A room?", client_tools=[ClientTool(name="room")]))
    async with asyncio.timeout(SECONDS):
        while not (waiting := (await client.call("executions", status="awaiting_client")).items):
            await asyncio.sleep(0.01)
    await client.call("result", waiting[0].id, {"room": 1})
    assert (await client.call("result", waiting[0].id, {"room": 1})).status == "succeeded"
    with pytest.raises(ApiError) as caught:
        await client.call("result", waiting[0].id, error="None is free.")
    assert caught.value.code == "already_answered"
    answer = await asking
    assert [event.tool for event in answer.events if isinstance(event, ClientToolCall)] == ["room"]


@pytest.mark.parametrize(("verdict", "written"), [(True, True), (False, False)])
async def test_decision_of_the_callback_continues_the_run(
    start: StartService, client_to: ClientTo, verdict: bool, written: bool
) -> None:
    asked: list[Execution] = []

    def decide(execution: Execution) -> bool:
        asked.append(execution)
        return verdict

    (workspaces().root.base / "asked.txt").unlink(missing_ok=True)
    api = await start(Scripted(WRITE, ANSWER), policy="ask fs.write")
    answer = await client_to(api.base_url).call("ask", "Write", decide=decide)
    assert answer.text == "Seven files."
    assert [execution.params for execution in asked] == [{"path": "asked.txt", "content": "a"}]
    assert (workspaces().root.base / "asked.txt").exists() is written
    assert any(isinstance(event, ToolCall) for event in answer.events)
    # A replay asks for no decision again.
    await client_to(api.base_url).events("follow", answer.run_id, decide=decide)
    assert len(asked) == 1


@pytest.mark.parametrize("name", ["approve", "deny"])
async def test_open_question_is_decided_by_the_caller(start: StartService, client_to: ClientTo, name: str) -> None:
    api = await start(Scripted(WRITE, ANSWER), policy="ask fs.write")
    client = client_to(api.base_url)
    asking = asyncio.create_task(client.call("ask", "Write", decide=lambda _: None))
    async with asyncio.timeout(SECONDS):
        while not (waiting := (await client.call("executions", status="awaiting_approval")).items):
            await asyncio.sleep(0.01)
    with pytest.raises(ApiError) as caught:
        await client.call(name, waiting[0].id, "0" * 64)
    assert caught.value.code == "params_mismatch"
    await client.call(name, waiting[0].id, waiting[0].params_sha256, note="Because.")
    assert (await asking).text == "Seven files."
    assert (await client.call("execution", waiting[0].id)).note == "Because."


async def test_decision_that_comes_too_late_changes_nothing(start: StartService, client_to: ClientTo) -> None:
    api = await start(Scripted(WRITE, ANSWER), policy="ask fs.write")

    def decide(execution: Execution) -> bool:
        with Client(api.base_url) as other:
            other.deny(execution.id, execution.params_sha256)
        return True

    answer = await client_to(api.base_url).call("ask", "Write", decide=decide)
    assert [event.code for event in answer.events if isinstance(event, ToolError)] == ["denied"]


@pytest.mark.parametrize("value", ["approve", 1, object()])
async def test_decision_that_is_not_a_truth_value_approves_nothing(
    start: StartService, client_to: ClientTo, value: Any
) -> None:
    api = await start(Scripted(WRITE, ANSWER), policy="ask fs.write")
    client = client_to(api.base_url)
    with pytest.raises(TypeError, match="Return True, False, or None"):
        await client.call("ask", "Write", decide=lambda _: value)
    (execution,) = (await client.call("executions")).items
    assert execution.status == "awaiting_approval"
